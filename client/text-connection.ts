import type { Socket } from 'node:net';
import { type Credentials, greetingOf } from '../src/credentials.js';
import type { VolleyError } from '../src/errors.js';
import { onAbort } from '../src/on-abort.js';
import { abortedError, settler, withDeadline } from './deadline.js';
import {
  isTooManyClients,
  nodeAuth,
  nodeDown,
  nodeProtocol,
  nodeTimeout,
  nodeUnreached,
  TooManyClientsError,
} from './node-errors.js';
import { dial, type NodeTls } from './secure.js';

const READ_BYTES = 64 * 1024;
const LINE_LENGTH_MAX = 8 * 1024;
const QUEUE_COMPACTION = 256;
const END_OF_LINE_BYTES = 2;

/** A request, or a batch of them, whose answers are lines. */
export interface Exchange {
  /** For error messages: `set`, `touch`, … */
  what: string;
  /** What is sent; at least one. Must stay as they are until onWritten has been called. */
  buffers: readonly Uint8Array[];
  /**
   * Takes one line (without its end). Returns true when that was the exchange's last line, or how many bytes of a value
   * follow it. May throw a VolleyError.
   */
  onLine(line: string): boolean | number;
  /** Takes a value that onLine told of. */
  onValue?(value: Buffer): void;
  /** The connection ended before the exchange's last line. */
  onError(error: VolleyError): void;
  /** The socket needs the buffers no longer. */
  onWritten?(): void;
}

/** Whom a connection leads to. */
export interface NodeAddress {
  /** `host:port` as in the node list. */
  name: string;
  /** An IP address. */
  address: string;
  port: number;
  /** What to authenticate with first, or null where the node does not ask for it. */
  credentials: Credentials | null;
  /** How it is spoken to by TLS, or null for plainly. */
  tls: NodeTls | null;
}

/**
 * A connection that speaks memcached's text protocol, pipelined: any number of exchanges can be outstanding, answers
 * come in order. Whoever sends bounds what is outstanding. The connection ends when the node lets `timeoutMs` pass
 * without a byte while an answer is due, when it closes, or when an answer makes no sense; every exchange that is
 * outstanding then, or sent later, gets the error.
 */
export class TextConnection {
  #queue: Exchange[] = [];
  #head = 0;
  #partial = '';
  /** A value that is being received, with the end of line behind it. */
  #value: Buffer | null = null;
  #valueFilled = 0;
  #hasSpoken = false;
  #timer: NodeJS.Timeout | undefined;
  #lastProgressMs = 0;
  #ended: VolleyError | null = null;
  #socket!: Socket;

  private constructor(
    readonly node: string,
    readonly timeoutMs: number,
  ) {}

  /** @throws VolleyError ERR_VOLLEY_NODE_DOWN, ERR_VOLLEY_TIMEOUT or ERR_VOLLEY_AUTH that names the node */
  static async connect(node: NodeAddress, timeoutMs: number, signal?: AbortSignal): Promise<TextConnection> {
    const connection = new TextConnection(node.name, timeoutMs);
    const { promise, resolve, reject } = settler<void>();
    const onread = { buffer: Buffer.allocUnsafe(READ_BYTES), callback: connection.#onRead };
    const socket = dial(node, () => resolve(), onread);
    connection.#socket = socket;
    socket.on('error', (error) => connection.#fail(nodeDown(node.name, error)));
    socket.on('close', () => connection.#fail(nodeDown(node.name, new Error('it closed the connection'))));
    socket.once('close', () => reject(connection.#ended));
    try {
      await withDeadline(promise, timeoutMs, signal, () => nodeUnreached(node.name, timeoutMs));
      if (node.credentials) await connection.authenticate(node.credentials, signal);
    } catch (error) {
      connection.#fail(error as VolleyError);
      throw error;
    }
    return connection;
  }

  /** Sends an exchange. */
  send(exchange: Exchange): void {
    if (this.#ended) {
      exchange.onError(this.#ended);
      return;
    }
    if (this.#outstanding === 0) this.#lastProgressMs = performance.now();
    this.#queue.push(exchange);
    this.#socket.cork();
    const last = exchange.buffers.length - 1;
    for (let i = 0; i < last; i++) this.#socket.write(exchange.buffers[i]!);
    this.#socket.write(exchange.buffers[last]!, () => exchange.onWritten?.());
    this.#socket.uncork();
    this.#timer ??= setTimeout(this.#onTimer, this.timeoutMs);
  }

  /**
   * Sends one request line and waits for its answer, which may be many lines.
   * @param onLine as in Exchange
   */
  async ask(request: string, onLine: (line: string) => boolean, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = settler<void>();
    if (signal?.aborted) this.#fail(abortedError(signal));
    const ignore = onAbort(signal, () => this.#fail(abortedError(signal!)));
    this.send({
      what: request,
      buffers: [Buffer.from(`${request}\r\n`, 'latin1')],
      onLine: (line) => {
        const isLast = onLine(line);
        if (isLast) resolve();
        return isLast;
      },
      onError: reject,
    });
    try {
      await promise;
    } finally {
      ignore();
    }
  }

  /** Whether the connection is of no use any more. */
  get hasEnded(): boolean {
    return this.#ended !== null;
  }

  /** Authenticates the connection. @throws VolleyError ERR_VOLLEY_AUTH, or that of the connection */
  async authenticate(credentials: Credentials, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = settler<void>();
    this.send({
      what: 'authentication',
      buffers: [greetingOf(credentials)],
      onLine: (line) => {
        // The answer is not quoted: whoever gives it has just been told the password.
        if (line !== 'STORED') throw nodeAuth(this.node, true);
        resolve();
        return true;
      },
      onError: reject,
    });
    await withDeadline(promise, this.timeoutMs, signal, () =>
      nodeTimeout(this.node, 'authentication', this.timeoutMs),
    );
  }

  /** Ends the connection at once. */
  close(): void {
    this.#fail(nodeDown(this.node, new Error('this client closed the connection')));
  }

  get #outstanding(): number {
    return this.#queue.length - this.#head;
  }

  #fail(error: VolleyError): void {
    if (this.#ended) return;
    this.#ended = error;
    clearTimeout(this.#timer);
    this.#socket.destroy();
    const outstanding = this.#queue.slice(this.#head);
    this.#queue = [];
    this.#head = 0;
    for (const exchange of outstanding) exchange.onError(error);
  }

  readonly #onTimer = () => {
    this.#timer = undefined;
    if (this.#outstanding === 0) return;
    const leftMs = this.#lastProgressMs + this.timeoutMs - performance.now();
    if (leftMs <= 0) {
      this.#fail(nodeTimeout(this.node, this.#queue[this.#head]!.what, this.timeoutMs));
    } else {
      this.#timer = setTimeout(this.#onTimer, leftMs);
    }
  };

  /** Lines end with CR LF, those of memcached's listings with LF alone. */
  readonly #onRead = (bytes: number, buffer: Uint8Array): boolean => {
    this.#lastProgressMs = performance.now();
    try {
      this.#takeBytes(bytes, buffer);
    } catch (error) {
      // Whatever it is, whoever waits for an answer has to know.
      this.#fail(error as VolleyError);
    }
    return true;
  };

  #takeBytes(bytes: number, buffer: Uint8Array): void {
    const text = this.#partial + (buffer as Buffer).toString('latin1', 0, bytes);
    let at = 0;
    while (!this.#ended) {
      if (this.#value) {
        at += this.#fill(this.#value, text, at);
        if (this.#value) break;
      }
      const end = text.indexOf('\n', at);
      if (end < 0) break;
      this.#take(text.slice(at, end > at && text[end - 1] === '\r' ? end - 1 : end));
      at = end + 1;
    }
    this.#partial = text.slice(at);
    if (this.#partial.length > LINE_LENGTH_MAX) this.#take(this.#partial);
  }

  /** Adds to a value what of it stands in `text` from `at` on; returns how much that was. */
  #fill(value: Buffer, text: string, at: number): number {
    const part = text.slice(at, at + value.length - this.#valueFilled);
    this.#valueFilled += value.write(part, this.#valueFilled, 'latin1');
    if (this.#valueFilled < value.length) return part.length;
    this.#value = null;
    const exchange = this.#queue[this.#head]!;
    const length = value.length - END_OF_LINE_BYTES;
    if (value.toString('latin1', length) === '\r\n') exchange.onValue?.(value.subarray(0, length));
    else this.#fail(nodeProtocol(this.node, exchange.what, 'a value of another length'));
    return part.length;
  }

  #take(line: string): void {
    const exchange = this.#queue[this.#head];
    if (!this.#hasSpoken && isTooManyClients(line)) {
      this.#fail(nodeDown(this.node, new TooManyClientsError()));
      return;
    }
    this.#hasSpoken = true;
    if (!exchange || line.length > LINE_LENGTH_MAX) {
      this.#fail(nodeProtocol(this.node, exchange?.what ?? 'nothing', line));
      return;
    }
    const more = exchange.onLine(line);
    if (typeof more === 'number') {
      this.#value = Buffer.alloc(more + END_OF_LINE_BYTES);
      this.#valueFilled = 0;
    }
    if (more !== true) return;
    this.#head++;
    if (this.#head === QUEUE_COMPACTION) {
      this.#queue.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
