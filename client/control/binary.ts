import { Client, type Response, Utils } from 'memjs';
import type { Credentials } from '../../src/credentials.js';
import type { VolleyError } from '../../src/errors.js';
import {
  nodeAuth,
  nodeFull,
  nodeItemLimit,
  nodeProtocol,
  nodeReadOnly,
  nodeTimeout,
  nodeUnreached,
} from '../node-errors.js';
import type { ControlAddress } from './address.js';
import { MemjsServer } from './memjs-server.js';
import type { ConditionalDelete, ControlProtocol, ReadItem } from './protocol.js';

const OPCODES = { get: 0x00, add: 0x02, replace: 0x03, delete: 0x04 } as const;
/** Flags and exptime of an item: neither is used. */
const NO_EXTRAS = '\0'.repeat(8);
/** Where the CAS value stands in a request's header. */
const CAS_OFFSET = 16;

const STATUS = {
  ok: 0x00,
  notFound: 0x01,
  exists: 0x02,
  tooLarge: 0x03,
  notStored: 0x05,
  noAccess: 0x24,
  noMemory: 0x82,
} as const;

const SILENT = { log() {} };
/** memjs' own timers end what ours has given up; they come later, so that our errors are the ones seen. */
const MEMJS_GRACE = 2;
/** What memjs says, as a bare text, when a node refuses the authentication or wants one. */
const MEMJS_REFUSED = 'Memcached server authentication failed!';

/**
 * The binary protocol, by memjs. After any failure its client is thrown away, connection and all, so that no answer is
 * taken for another request's.
 */
export class BinaryControl implements ControlProtocol {
  #client: Client | null = null;
  #server: MemjsServer | null = null;
  #silenceMs: number | null;

  /**
   * @param timeoutMs of each request
   * @param silenceMs a node that has never answered, and says nothing for so long, counts as one that does not speak binary
   */
  constructor(
    readonly node: string,
    private readonly address: ControlAddress,
    private readonly credentials: Credentials | null,
    private readonly timeoutMs: number,
    silenceMs: number,
  ) {
    this.#silenceMs = silenceMs;
  }

  async read(key: string): Promise<ReadItem | null> {
    const { header, val } = await this.#perform('get', key);
    if (header.status === STATUS.ok) return { value: val, cas: header.cas.readBigUInt64BE() };
    if (header.status === STATUS.notFound) return null;
    throw this.#refusal(`get ${key}`, header.status, 0);
  }

  async store(mode: 'add' | 'replace', key: string, value: Buffer): Promise<boolean> {
    const what = `${mode} ${key}`;
    const { status } = (await this.#perform(mode, key, value)).header;
    if (status === STATUS.ok) return true;
    if (status === STATUS.exists || status === STATUS.notFound || status === STATUS.notStored) return false;
    throw this.#refusal(what, status, value.length);
  }

  async delete(key: string, cas: bigint): Promise<ConditionalDelete> {
    const { status } = (await this.#perform('delete', key, null, cas)).header;
    if (status === STATUS.ok) return 'deleted';
    if (status === STATUS.notFound) return 'absent';
    if (status === STATUS.exists) return 'changed';
    throw this.#refusal(`delete ${key}`, status, 0);
  }

  async stats(section: string): Promise<Record<string, string> | null> {
    const { client, server } = this.#connected();
    return new Promise((resolve, reject) => {
      client.statsWithKey(section, (error, _server, stats) => {
        // memjs tells a node's refusal, that it has no such section, in an error of its own.
        const isRefused = error?.message?.startsWith('MemJS STATS');
        if (error && !isRefused) return reject(this.#translated(server, error));
        this.#silenceMs = null;
        resolve(isRefused ? null : stats);
      });
    });
  }

  timedOut(what: string, timeoutMs: number): VolleyError {
    const isReached = this.#server?.phase !== 'dialing';
    return isReached ? nodeTimeout(this.node, what, timeoutMs) : nodeUnreached(this.node, timeoutMs);
  }

  discard(reason: Error): void {
    const server = this.#server;
    this.#client = null;
    this.#server = null;
    server?.error(reason);
  }

  /** One request; its answer, whatever the status. memjs' own commands leave the CAS value out. */
  #perform(
    command: keyof typeof OPCODES,
    key: string,
    value: Buffer | null = null,
    cas = 0n,
  ): Promise<Response> {
    const { client, server } = this.#connected();
    client.incrSeq();
    const extras = value ? NO_EXTRAS : '';
    const request = Utils.makeRequestBuffer(OPCODES[command], key, extras, value ?? '', client.seq);
    request.writeBigUInt64BE(cas, CAS_OFFSET);
    return new Promise((resolve, reject) => {
      client.perform(key, request, client.seq, (error, response) => {
        if (error) reject(this.#translated(server, error));
        else {
          this.#silenceMs = null;
          resolve(response!);
        }
      });
    });
  }

  /** The error for a connection that failed; it is not used again. */
  #translated(server: MemjsServer, error: unknown): Error {
    const reason = error === MEMJS_REFUSED ? nodeAuth(this.node, this.credentials !== null) : error;
    if (this.#server === server) this.discard(reason as Error);
    return reason as Error;
  }

  #refusal(what: string, status: number, itemBytes: number): VolleyError {
    if (status === STATUS.noMemory) return nodeFull(this.node);
    if (status === STATUS.tooLarge) return nodeItemLimit(this.node, itemBytes);
    if (status === STATUS.noAccess) return nodeReadOnly(this.node);
    return nodeProtocol(this.node, what, `status 0x${status.toString(16)}`);
  }

  #connected(): { client: Client; server: MemjsServer } {
    if (this.#client && this.#server) return { client: this.#client, server: this.#server };
    const seconds = (this.timeoutMs * MEMJS_GRACE) / 1000;
    const server = new MemjsServer(this.address, this.credentials, seconds, this.#silenceMs);
    const client = new Client([server], { retries: 1, logger: SILENT });
    this.#server = server;
    this.#client = client;
    return { client, server };
  }
}
