import { Client } from 'memjs';
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
/** What memjs says, as a bare text, when a node refuses the authentication or wants one. */
const MEMJS_REFUSED = 'Memcached server authentication failed!';

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

  /** False when the key was not there. */
  delete(key: string, signal?: AbortSignal): Promise<boolean> {
    return this.#call(`delete ${key}`, signal, (client) => client.delete(key));
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
