import type { Socket } from 'node:net';
import type { Credentials } from '../src/credentials.js';
import { type Destination, dial } from './secure.js';
import { WatchedServer } from './watched-server.js';

/** memjs' connection to one node, over TLS: memjs itself opens plain sockets only. */
export class SecureServer extends WatchedServer {
  readonly #destination: Destination;

  constructor(destination: Destination, credentials: Credentials | null, timeoutS: number) {
    super(destination.address, destination.port, credentials, timeoutS);
    this.#destination = destination;
  }

  /** What memjs does with a new socket, done with one of TLS. */
  protected override open(go: (socket: Socket) => void): void {
    this.connected = false;
    const socket = dial(this.#destination, () => {
      this.once('authenticated', () => {
        if (this._socket !== socket) return;
        this.connected = true;
        socket.setTimeout(0);
        this.timeoutSet = false;
        go(socket);
        for (const callback of this.connectCallbacks.splice(0)) callback(socket);
      });
      socket.on('data', (bytes) => this.responseHandler(bytes));
      if (this.username && this.password) this.listSasl();
      else this.emit('authenticated');
    });
    this._socket = socket;
    socket.on('error', (error) => this.error(error));
    socket.on('close', () => {
      this.connected = false;
      this.timeoutSet = false;
      if (this._socket === socket) this._socket = undefined;
    });
    this.timeoutSet = true;
    socket.setTimeout(this.options.conntimeout! * 1000, () => {
      this.timeoutSet = false;
      if (!this.connected) this.error(new Error('socket timed out connecting to server.'));
    });
  }
}
