/** What Volley uses of memjs 1.3.2, which publishes no types. */
declare module 'memjs' {
  import type { EventEmitter } from 'node:events';
  import type { Socket } from 'node:net';

  export interface ServerOptions {
    /** Seconds without an answer until everything outstanding fails. */
    timeout?: number;
    /** Seconds until a connection attempt fails. */
    conntimeout?: number;
  }

  export class Server extends EventEmitter {
    constructor(
      host: string,
      port: number,
      username: string | undefined,
      password: string | undefined,
      options: ServerOptions,
    );
    /** The live connection; undefined before the first request and after a failure. */
    _socket: Socket | undefined;
    username: string | undefined;
    password: string | undefined;
    /** Whether requests can be sent. */
    connected: boolean;
    /** Waiting for the connection. */
    connectCallbacks: ((socket: Socket) => void)[];
    /** Takes bytes from the connection. */
    responseHandler(bytes: Buffer): void;
    /** Begins the authentication; `authenticated` is emitted at its end. */
    listSasl(): void;
    /** Makes or reuses the connection and hands it to `go`. */
    sock(sasl: boolean, go: (socket: Socket) => void): void;
    /** Bytes of answers that are not whole. */
    responseBuffer: Buffer;
    /** Destroys the connection and fails everything outstanding. memjs itself gives a bare text for refused authentication. */
    error(reason: Error | string): void;
  }

  export interface ClientOptions {
    /** How often an operation is tried; 1 = no retry. */
    retries?: number;
    logger?: { log(...text: unknown[]): void };
  }

  /** An answer of the binary protocol. */
  export interface Response {
    header: { status: number; cas: Buffer };
    val: Buffer;
  }

  export const Utils: {
    /** A request with its header; the CAS value in it is 0. */
    makeRequestBuffer(
      opcode: number,
      key: string,
      extras: string,
      value: string | Buffer,
      opaque: number,
    ): Buffer;
  };

  export class Client {
    constructor(servers: Server[], options: ClientOptions);
    /** Number of the last request: its opaque field. */
    seq: number;
    incrSeq(): void;
    /** Sends a request to the server of the key and hands over its answer, whatever its status. */
    perform(
      key: string,
      request: Buffer,
      seq: number,
      callback: (error: Error | null, response: Response | null) => void,
    ): void;
    get(key: string): Promise<{ value: Buffer | null; flags: Buffer | null }>;
    add(key: string, value: Buffer, options: { expires?: number }): Promise<boolean>;
    statsWithKey(
      section: string,
      callback: (error: Error | null, server: string, stats: Record<string, string> | null) => void,
    ): void;
  }
}
