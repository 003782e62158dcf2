import { Client, type Response, Utils } from 'memjs';
import type { Credentials } from '../src/credentials.js';
import { isVolleyError, type VolleyError } from '../src/errors.js';
import { withDeadline } from './deadline.js';
import { nodeAuth, nodeDown, nodeFull, nodeItemLimit, nodeProtocol, nodeTimeout } from './node-errors.js';
import type { NodeTls } from './secure.js';
import { SecureServer } from './secure-server.js';
import { WatchedServer } from './watched-server.js';

const SILENT = { log() {} };
/** memjs' own timers end what ours has given up; they come later, so that our errors are the ones seen. */
const MEMJS_GRACE = 2;
/** Opcodes and statuses of the binary protocol for what memjs does without CAS. */
const OPCODE_GET = 0x00;
const OPCODE_DELETE = 0x04;
const STATUS_OK = 0x00;
const STATUS_NOT_FOUND = 0x01;
const STATUS_EXISTS = 0x02;
/** Where the CAS value stands in a request's header. */
const CAS_OFFSET = 16;
/** What memjs says, as a bare text, when a node refuses the authentication or wants one. */
const MEMJS_REFUSED = 'Memcached server authentication failed!';

/** A value as it was read, and what identifies that version of it. */
export interface ReadItem {
  value: Buffer;
  /** The node's CAS value; 0 where the node keeps none (memcached -C). */
  cas: bigint;
}

/** What became of an item that was to be deleted as long as it was still the one that had been read. */
export type ConditionalDelete = 'deleted' | 'absent' | 'changed';

/**
 * What is small or rare between a client and one node: statistics and manifests, over memjs (binary protocol). memjs
 * keeps the bytes of an answer that came too late and would take them for the next one, so after any failure its
 * client is thrown away, connection and all.
 */
export class ControlChannel {
  #client: Client | null = null;
  #server: WatchedServer | null = null;

  constructor(
    readonly node: string,
    readonly address: string,
    readonly port: number,
    readonly timeoutMs: number,
    private readonly credentials: Credentials | null,
    private readonly tls: NodeTls | null = null,
  ) {}

  /** The value under a key, or null. */
  async get(key: string, signal?: AbortSignal): Promise<Buffer | null> {
    const { value } = await this.#call(`get ${key}`, signal, (client) => client.get(key));
    return value;
  }

  /** Stores the value if the key is not there yet; false when it is. */
  add(key: string, value: Buffer, signal?: AbortSignal): Promise<boolean> {
    return this.#store(`add ${key}`, value, signal, (client) => client.add(key, value, { expires: 0 }));
  }

  /** Stores the value if the key is there; false when it is not. */
  replace(key: string, value: Buffer, signal?: AbortSignal): Promise<boolean> {
    return this.#store(`replace ${key}`, value, signal, (client) =>
      client.replace(key, value, { expires: 0 }),
    );
  }

  /** The value under a key with its CAS value, or null. */
  async read(key: string, signal?: AbortSignal): Promise<ReadItem | null> {
    const what = `get ${key}`;
    const { header, val } = await this.#perform(what, OPCODE_GET, key, 0n, signal);
    if (header.status === STATUS_NOT_FOUND) return null;
    return { value: val, cas: header.cas.readBigUInt64BE() };
  }

  /**
   * Deletes the item that was read, by its CAS value, so that another one that took its place stays. A node without CAS
   * values is asked for the item once more just before; one that comes between those two is then lost.
   */
  async deleteSame(key: string, { value, cas }: ReadItem, signal?: AbortSignal): Promise<ConditionalDelete> {
    if (cas === 0n) {
      const now = await this.get(key, signal);
      if (now && !now.equals(value)) return 'changed';
    }
    const { header } = await this.#perform(`delete ${key}`, OPCODE_DELETE, key, cas, signal);
    if (header.status === STATUS_EXISTS) return 'changed';
    return header.status === STATUS_OK ? 'deleted' : 'absent';
  }

  /** A section of the node's statistics ('' = the general ones), or null when the node does not have that section. */
  async stats(section: string, signal?: AbortSignal): Promise<Record<string, string> | null> {
    const ask = (client: Client) =>
      new Promise<Record<string, string> | null>((resolve, reject) => {
        client.statsWithKey(section, (error, _server, stats) => (error ? reject(error) : resolve(stats)));
      });
    return this.#call(`stats ${section}`.trim(), signal, ask).catch((error: VolleyError) => {
      if (refusalOf(error.cause) !== null) return null;
      throw error;
    });
  }

  /** Ends the connection. The channel can be used again; it then connects anew. */
  close(): void {
    this.#discard(nodeDown(this.node, new Error('this client closed the connection')));
  }

  /** Ends the connection; what is outstanding fails with `reason`. */
  #discard(reason: VolleyError): void {
    const server = this.#server;
    this.#client = null;
    this.#server = null;
    server?.error(reason);
  }

  async #store(
    what: string,
    value: Buffer,
    signal: AbortSignal | undefined,
    operation: (client: Client) => Promise<boolean>,
  ): Promise<boolean> {
    try {
      return await this.#call(what, signal, operation);
    } catch (error) {
      const refusal = refusalOf((error as VolleyError).cause);
      if (refusal === 'Out of memory') throw nodeFull(this.node);
      if (refusal === 'Value too large') throw nodeItemLimit(this.node, value.length);
      throw error;
    }
  }

  /** One request with a CAS value, which memjs' own commands leave out. @throws VolleyError for an unexpected status */
  #perform(
    what: string,
    opcode: number,
    key: string,
    cas: bigint,
    signal: AbortSignal | undefined,
  ): Promise<Response> {
    return this.#call(what, signal, (client) => {
      client.incrSeq();
      const request = Utils.makeRequestBuffer(opcode, key, '', '', client.seq);
      request.writeBigUInt64BE(cas, CAS_OFFSET);
      return new Promise((resolve, reject) => {
        client.perform(key, request, client.seq, (error, response) => {
          if (error) return reject(error);
          const { status } = response!.header;
          if ([STATUS_OK, STATUS_NOT_FOUND, STATUS_EXISTS].includes(status)) resolve(response!);
          else reject(new Error(`MemJS ${what}: status ${status}`));
        });
      });
    });
  }

  async #call<T>(
    what: string,
    signal: AbortSignal | undefined,
    operation: (client: Client) => Promise<T>,
  ): Promise<T> {
    const client = this.#connected();
    try {
      const onTimeout = () => nodeTimeout(this.node, what, this.timeoutMs);
      const work = operation(client).catch((error: unknown) => {
        throw this.#translated(what, error);
      });
      return await withDeadline(work, this.timeoutMs, signal, onTimeout);
    } catch (error) {
      const refused = refusalOf((error as VolleyError).cause) !== null;
      if (this.#client === client && !refused) this.#discard(error as VolleyError);
      throw error;
    }
  }

  #translated(what: string, error: unknown): VolleyError {
    if (isVolleyError(error)) return error;
    if (error === MEMJS_REFUSED) return nodeAuth(this.node, this.credentials !== null);
    const refusal = refusalOf(error);
    return refusal === null ? nodeDown(this.node, error) : nodeProtocol(this.node, what, refusal, error);
  }

  #connected(): Client {
    if (this.#client) return this.#client;
    const seconds = (this.timeoutMs * MEMJS_GRACE) / 1000;
    const { address, port, tls, credentials } = this;
    this.#server = tls
      ? new SecureServer({ address, port, tls }, credentials, seconds)
      : new WatchedServer(address, port, credentials, seconds);
    this.#client = new Client([this.#server], { retries: 1, logger: SILENT });
    return this.#client;
  }
}

/** What a node said when it refused an operation (memjs tells it in the error's text), or null for other failures. */
function refusalOf(error: unknown): string | null {
  const match = /^MemJS [^:]+: (.+)$/.exec(error instanceof Error ? error.message : '');
  return match ? match[1]! : null;
}
