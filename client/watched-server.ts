import type { Socket } from 'node:net';
import { Server } from 'memjs';
import type { Credentials } from '../src/credentials.js';

/**
 * memjs' connection to one node, made to notice what memjs does not: when the peer closes with a request outstanding,
 * memjs waits for ever; here everything outstanding fails at once.
 */
export class WatchedServer extends Server {
  #watched: Socket | undefined;

  /** @param timeoutS seconds to connect, and to answer */
  constructor(address: string, port: number, credentials: Credentials | null, timeoutS: number) {
    super(address, port, undefined, undefined, { timeout: timeoutS, conntimeout: timeoutS });
    // memjs would otherwise take them from variables of its own in the environment.
    this.username = credentials?.user;
    this.password = credentials?.password;
  }

  /** Makes a new connection. */
  protected open(go: (socket: Socket) => void): void {
    super.sock(false, go);
  }

  override sock(sasl: boolean, go: (socket: Socket) => void): void {
    if (this._socket) super.sock(sasl, go);
    else this.open(go);
    const socket = this._socket;
    if (!socket || socket === this.#watched) return;
    this.#watched = socket;
    socket.once('close', () => this.error(new Error('it closed the connection')));
  }
}
