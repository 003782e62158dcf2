import type { Socket } from 'node:net';
import { Server } from 'memjs';
import type { Credentials } from '../../src/credentials.js';
import { dialFirst } from '../dial-first.js';
import { isTooManyClients, TooManyClientsError } from '../node-errors.js';
import { secure } from '../secure.js';
import type { ControlAddress } from './address.js';
import { NotBinaryError } from './protocol.js';

const RESPONSE_MAGIC = 0x81;
/**
 * A `version` request of the binary protocol, which every node answers, also before authentication. Its CAS value, which
 * has no meaning there, ends like a line of the text protocol, so that a node that speaks only that one answers at once,
 * with an error. Its number (opaque) is 0, which memjs does not use.
 */
const GREETING = Buffer.from(`\x80\x0b${'\0'.repeat(20)}\r\n`, 'latin1');
/** Nothing that is asked over this connection is answered with more: an item, or statistics. */
const UNREAD_BYTES_MAX = 16 * 1024 * 1024;
/** What of an answer in text is looked at. */
const LINE_LENGTH_MAX = 256;

/** How far a connection has come. */
export type Phase = 'closed' | 'dialing' | 'silent' | 'answering';

/**
 * memjs' connection to one node, over sockets of ours: memjs itself tries one address, knows no TLS, waits for ever when
 * the peer closes with a request outstanding, and takes any bytes for answers.
 */
export class MemjsServer extends Server {
  readonly #address: ControlAddress;
  readonly #silenceMs: number | null;
  #phase: Phase = 'closed';
  #dialing: AbortController | null = null;
  #silence: NodeJS.Timeout | undefined;
  /** The beginning of an answer that is text. */
  #text = '';

  /**
   * @param timeoutS seconds until memjs itself gives up an answer
   * @param silenceMs after so many milliseconds without a byte the node counts as one that does not speak binary; null: never
   */
  constructor(
    address: ControlAddress,
    credentials: Credentials | null,
    timeoutS: number,
    silenceMs: number | null,
  ) {
    super(address.addresses[0]!, address.port, undefined, undefined, { timeout: timeoutS });
    // memjs would otherwise take them from variables of its own in the environment.
    this.username = credentials?.user;
    this.password = credentials?.password;
    this.#address = address;
    this.#silenceMs = silenceMs;
  }

  get phase(): Phase {
    return this.#phase;
  }

  override sock(sasl: boolean, go: (socket: Socket) => void): void {
    if (this._socket && (this.connected || sasl)) go(this._socket);
    else {
      this.connectCallbacks.push(go);
      if (this.#phase === 'closed') this.#open();
    }
  }

  override error(reason: Error | string): void {
    this.#phase = 'closed';
    clearTimeout(this.#silence);
    this.#dialing?.abort();
    this.#dialing = null;
    super.error(reason);
  }

  #open(): void {
    this.#phase = 'dialing';
    const dialing = new AbortController();
    this.#dialing = dialing;
    const { addresses, port, tls } = this.#address;
    const begin = ({ socket, address }: { socket: Socket; address: string }) => {
      if (dialing.signal.aborted) {
        socket.destroy();
        return;
      }
      this.#address.reached = address;
      const way = tls ? secure(socket, address, tls, () => this.#begin(way)) : socket;
      this._socket = way;
      way.on('error', (error) => this.#ended(way, error));
      way.on('close', () => this.#ended(way, null));
      if (!tls) this.#begin(way);
    };
    dialFirst(addresses, port, dialing.signal).then(begin, (error) => {
      if (!dialing.signal.aborted) this.error(error);
    });
  }

  /** What memjs does with a new socket. */
  #begin(socket: Socket): void {
    if (this._socket !== socket) return;
    this.#phase = 'silent';
    if (this.#silenceMs !== null) {
      this.#silence = setTimeout(
        () => this.error(new NotBinaryError('it says nothing', '')),
        this.#silenceMs,
      );
    }
    socket.on('data', (bytes) => this.#take(socket, bytes));
    this.once('authenticated', () => {
      if (this._socket !== socket) return;
      this.connected = true;
      for (const go of this.connectCallbacks.splice(0)) go(socket);
    });
    socket.write(GREETING);
    if (this.username && this.password) this.listSasl();
    else this.emit('authenticated');
  }

  #take(socket: Socket, bytes: Buffer): void {
    if (this._socket !== socket) return;
    clearTimeout(this.#silence);
    if (this.#phase === 'silent' && this.#text === '' && bytes[0] === RESPONSE_MAGIC)
      this.#phase = 'answering';
    if (this.#phase === 'answering') {
      if (this.responseBuffer.length > UNREAD_BYTES_MAX)
        this.error(new Error('it sends more than was asked for'));
      else this.responseHandler(bytes);
      return;
    }
    this.#text += bytes.toString('latin1', 0, LINE_LENGTH_MAX);
    if (this.#text.includes('\n') || this.#text.length >= LINE_LENGTH_MAX) this.error(this.#textFault());
  }

  #ended(socket: Socket, fault: Error | null): void {
    if (this._socket !== socket) return;
    const hasSpoken = this.#phase === 'answering' || this.#phase === 'dialing';
    if (this.#text !== '') this.error(this.#textFault());
    else if (hasSpoken) this.error(fault ?? new Error('it closed the connection'));
    else this.error(new NotBinaryError('it closed the connection', '', { cause: fault }));
  }

  #textFault(): Error {
    if (isTooManyClients(this.#text)) return new TooManyClientsError();
    return new NotBinaryError('it answers in text', this.#text.trimEnd());
  }
}
