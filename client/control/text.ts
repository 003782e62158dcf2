import type { Credentials } from '../../src/credentials.js';
import type { VolleyError } from '../../src/errors.js';
import { settler } from '../deadline.js';
import { nodeAuth, nodeDown, nodeTimeout, nodeUnreached, refusalError } from '../node-errors.js';
import { TextConnection } from '../text-connection.js';
import type { ControlAddress } from './address.js';
import type { ConditionalDelete, ControlProtocol, ReadItem } from './protocol.js';

/** Items that are read whole: manifests' roots, and chunks. */
const VALUE_BYTES_MAX = 4 * 1024 * 1024;
const STATS_MAX = 4096;
const END_OF_LINE = Buffer.from('\r\n', 'latin1');
const UNAUTHENTICATED = /^CLIENT_ERROR unauthenticated/;
const UNKNOWN_COMMAND = /^(?:ERROR|CLIENT_ERROR)/;

/** What is asked, and how its answer is taken. */
interface Question {
  what: string;
  buffers: readonly Uint8Array[];
  /** As of an Exchange; by default the answer is one line. */
  onLine?(line: string): boolean | number;
  onValue?(value: Buffer): void;
}

/**
 * The text protocol, for nodes that have no other: memcached -B ascii or -Y, proxies, Dragonfly. A user and a password
 * are told only to a node that asks for them: another one would take them for an item.
 */
export class TextControl implements ControlProtocol {
  #connecting: Promise<TextConnection> | null = null;
  #connection: TextConnection | null = null;
  #abort = new AbortController();
  /** The first request over the connection, while it is under way. */
  #first: Promise<string> | null = null;
  /** Whether the node has answered over this connection, having been told a user and a password if it asked. */
  #isAdmitted = false;
  #isAsked = false;
  #knowsMeta = true;

  constructor(
    readonly node: string,
    private readonly address: ControlAddress,
    private readonly credentials: Credentials | null,
    private readonly timeoutMs: number,
  ) {}

  /** Whether the node asked who this client is. */
  get isAsked(): boolean {
    return this.#isAsked;
  }

  async read(key: string): Promise<ReadItem | null> {
    const what = `gets ${key}`;
    let item: ReadItem | null = null;
    let cas = 0n;
    const last = await this.#ask({
      what,
      buffers: [line(what)],
      onLine: (text) => {
        const [, bytes, unique] = /^VALUE \S+ \d+ (\d{1,9})(?: (\d{1,20}))?$/.exec(text) ?? [];
        if (bytes === undefined || item || Number(bytes) > VALUE_BYTES_MAX) return true;
        cas = BigInt(unique ?? 0);
        return Number(bytes);
      },
      onValue: (value) => {
        item = { value, cas };
      },
    });
    if (last !== 'END') throw refusalError(this.node, what, last);
    return item;
  }

  async store(mode: 'add' | 'replace', key: string, value: Buffer): Promise<boolean> {
    const what = `${mode} ${key}`;
    const buffers = [line(`${what} 0 0 ${value.length}`), value, END_OF_LINE];
    const last = await this.#ask({ what, buffers });
    if (last === 'STORED') return true;
    if (last === 'NOT_STORED') return false;
    throw refusalError(this.node, what, last, value.length);
  }

  /** By meta commands, or else by putting an expired item in its place, which takes a bit of memory. */
  async delete(key: string, cas: bigint): Promise<ConditionalDelete> {
    if (cas === 0n) return this.#deleteBy(`delete ${key}`, [line(`delete ${key}`)]);
    if (this.#knowsMeta) {
      const what = `md ${key} C${cas}`;
      const last = await this.#ask({ what, buffers: [line(what)] });
      const answers: Record<string, ConditionalDelete> = { HD: 'deleted', NF: 'absent', EX: 'changed' };
      const answer = answers[last.slice(0, 2)];
      if (answer && /^.. ?$/.test(last)) return answer;
      if (!UNKNOWN_COMMAND.test(last)) throw refusalError(this.node, what, last);
      this.#knowsMeta = false;
    }
    const what = `cas ${key}`;
    return this.#deleteBy(what, [line(`${what} 0 -1 0 ${cas}`), END_OF_LINE]);
  }

  async #deleteBy(what: string, buffers: readonly Uint8Array[]): Promise<ConditionalDelete> {
    const last = await this.#ask({ what, buffers });
    if (last === 'DELETED' || last === 'STORED') return 'deleted';
    if (last === 'NOT_FOUND') return 'absent';
    if (last === 'EXISTS') return 'changed';
    throw refusalError(this.node, what, last);
  }

  async stats(section: string): Promise<Record<string, string> | null> {
    const what = `stats ${section}`.trim();
    const stats: Record<string, string> = {};
    let count = 0;
    const last = await this.#ask({
      what,
      buffers: [line(what)],
      onLine: (text) => {
        const [, name, value = ''] = /^STAT (\S+)(?: (.*))?$/.exec(text) ?? [];
        if (name === undefined || ++count > STATS_MAX) return true;
        stats[name] = value;
        return false;
      },
    });
    if (last === 'END') return stats;
    if (UNKNOWN_COMMAND.test(last)) return null;
    throw refusalError(this.node, what, last);
  }

  /** The node's version, where it is not among its statistics. */
  async version(): Promise<string | null> {
    const last = await this.#ask({ what: 'version', buffers: [line('version')] });
    return /^VERSION ([\x21-\x7e]{1,64})/.exec(last)?.[1] ?? null;
  }

  timedOut(what: string, timeoutMs: number): VolleyError {
    const isReached = this.#connection !== null || this.#connecting === null;
    return isReached ? nodeTimeout(this.node, what, timeoutMs) : nodeUnreached(this.node, timeoutMs);
  }

  discard(reason: Error): void {
    this.#abort.abort(reason);
    this.#abort = new AbortController();
    this.#connection?.close();
    this.#connection = null;
    this.#connecting = null;
    this.#first = null;
    this.#isAdmitted = false;
  }

  /** Asks, and once more after an authentication if the node wants one. Returns the answer's last line. */
  async #ask(question: Question): Promise<string> {
    const connection = await this.#connected();
    // A memcached that wants an authentication throws away what came with the first request: nothing may be behind it.
    while (!this.#isAdmitted && this.#first) await this.#first.catch(() => {});
    if (this.#isAdmitted) return exchange(connection, question);
    const first = this.#askFirst(connection, question);
    this.#first = first;
    try {
      return await first;
    } finally {
      if (this.#first === first) this.#first = null;
    }
  }

  async #askFirst(connection: TextConnection, question: Question): Promise<string> {
    let last = await exchange(connection, question);
    if (UNAUTHENTICATED.test(last)) {
      if (!this.credentials) throw nodeAuth(this.node, false);
      this.#isAsked = true;
      await connection.authenticate(this.credentials);
      last = await exchange(connection, question);
    }
    this.#isAdmitted = true;
    return last;
  }

  #connected(): Promise<TextConnection> {
    if (this.#connection?.hasEnded) this.discard(nodeDown(this.node, new Error('it closed the connection')));
    this.#connecting ??= this.#connect();
    return this.#connecting;
  }

  async #connect(): Promise<TextConnection> {
    const { addresses, reached, port, tls } = this.address;
    const credentials = this.#isAsked ? this.credentials : null;
    const address = reached ?? addresses[0]!;
    const { signal } = this.#abort;
    try {
      const node = { name: this.node, address, port, tls, credentials };
      this.#connection = await TextConnection.connect(node, this.timeoutMs, signal);
      return this.#connection;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      this.#connecting = null;
      throw error;
    }
  }
}

function line(text: string): Buffer {
  return Buffer.from(`${text}\r\n`, 'latin1');
}

/** One exchange; hands back the last line of its answer. */
async function exchange(connection: TextConnection, question: Question): Promise<string> {
  const { promise, resolve, reject } = settler<string>();
  const { what, buffers, onLine, onValue } = question;
  connection.send({
    what,
    buffers,
    onError: reject,
    ...(onValue ? { onValue } : {}),
    onLine: (text) => {
      const more = onLine?.(text) ?? true;
      if (more === true) resolve(text);
      return more;
    },
  });
  return promise;
}
