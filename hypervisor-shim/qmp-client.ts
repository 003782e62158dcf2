import type { Duplex } from 'node:stream';
import { VolleyError } from '../src/errors.js';

/** Longest line that QEMU may send; `info mtree -f` of a large machine takes some tens of kilobytes. */
const LINE_BYTES_MAX = 4 << 20;
const PENDING_MAX = 16;
const NEWLINE = 0x0a;

interface Pending {
  resolve: (value: unknown) => void;
  reject: (error: VolleyError) => void;
  timer: NodeJS.Timeout;
}

/** An asynchronous message of QEMU's, such as SHUTDOWN with its reason. */
export interface QmpEvent {
  name: string;
  data: Record<string, unknown>;
}

/** QEMU's machine protocol over a stream: JSON, one document a line. Every command has a deadline. */
export class QmpClient {
  readonly #stream: Duplex;
  readonly #pending = new Map<number, Pending>();
  readonly #onEvent: (event: QmpEvent) => void;
  #greeted: Pending | undefined;
  #parts: Buffer[] = [];
  #partBytes = 0;
  #nextId = 1;
  #broken: VolleyError | undefined;

  private constructor(stream: Duplex, onEvent: (event: QmpEvent) => void) {
    this.#stream = stream;
    this.#onEvent = onEvent;
    stream.on('data', (bytes: Buffer) => this.#feed(bytes));
    stream.on('error', (error) => this.#break(`the connection broke (${error.message})`));
    stream.on('close', () => this.#break('the connection was closed'));
  }

  /**
   * Waits for QEMU's greeting and turns command mode on.
   * @throws VolleyError ERR_VOLLEY_QEMU, ERR_VOLLEY_TIMEOUT
   */
  static async open(
    stream: Duplex,
    options: { timeoutMs: number; onEvent?: (event: QmpEvent) => void },
  ): Promise<QmpClient> {
    const client = new QmpClient(stream, options.onEvent ?? (() => {}));
    try {
      await client.#greeting(options.timeoutMs);
      await client.execute('qmp_capabilities', {}, options.timeoutMs);
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /**
   * Runs a command and resolves with what it returns.
   * @throws VolleyError ERR_VOLLEY_QEMU when QEMU refuses or the connection is lost, ERR_VOLLEY_TIMEOUT
   */
  execute(command: string, args: Record<string, unknown>, timeoutMs: number): Promise<unknown> {
    if (this.#broken) return Promise.reject(this.#broken);
    if (this.#pending.size >= PENDING_MAX) {
      return Promise.reject(qmpError(`${PENDING_MAX} commands are waiting already`));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(timeout(command, timeoutMs));
      }, timeoutMs);
      this.#pending.set(id, { resolve, reject, timer });
      this.#stream.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
  }

  /** What a command of the human monitor prints. */
  async monitor(line: string, timeoutMs: number): Promise<string> {
    const text = await this.execute('human-monitor-command', { 'command-line': line }, timeoutMs);
    if (typeof text !== 'string') throw qmpError(`"${line}" answered no text`);
    return text;
  }

  close(): void {
    this.#break('the connection was closed');
  }

  #greeting(timeoutMs: number): Promise<unknown> {
    return new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => reject(timeout('with a greeting', timeoutMs)), timeoutMs);
      this.#greeted = { resolve, reject, timer };
    }).finally(() => {
      clearTimeout(this.#greeted?.timer);
      this.#greeted = undefined;
    });
  }

  #feed(bytes: Buffer): void {
    let start = 0;
    for (let at = bytes.indexOf(NEWLINE); at >= 0 && !this.#broken; at = bytes.indexOf(NEWLINE, start)) {
      this.#parts.push(bytes.subarray(start, at));
      const line = Buffer.concat(this.#parts).toString('utf8').trim();
      this.#parts = [];
      this.#partBytes = 0;
      start = at + 1;
      if (line !== '') this.#take(line);
    }
    if (this.#broken) return;
    this.#partBytes += bytes.length - start;
    if (start < bytes.length) this.#parts.push(bytes.subarray(start));
    if (this.#partBytes > LINE_BYTES_MAX) this.#break(`a line is longer than ${LINE_BYTES_MAX} bytes`);
  }

  #take(line: string): void {
    const message = parseMessage(line);
    if (!message) {
      this.#break('it sent something that is no JSON object');
      return;
    }
    if ('QMP' in message) {
      this.#greeted?.resolve(message);
      return;
    }
    if (typeof message.event === 'string') {
      this.#onEvent({ name: message.event, data: asObject(message.data) ?? {} });
      return;
    }
    const pending = typeof message.id === 'number' ? this.#pending.get(message.id) : undefined;
    if (!pending) return;
    this.#pending.delete(message.id as number);
    clearTimeout(pending.timer);
    if ('return' in message) pending.resolve(message.return);
    else pending.reject(qmpError(`it refused a command: ${describe(message.error)}`));
  }

  #break(why: string): void {
    if (this.#broken) return;
    this.#broken = qmpError(why);
    this.#stream.destroy();
    const waiting = [...this.#pending.values()];
    if (this.#greeted) waiting.push(this.#greeted);
    this.#pending.clear();
    for (const pending of waiting) {
      clearTimeout(pending.timer);
      pending.reject(this.#broken);
    }
  }
}

function parseMessage(line: string): Record<string, unknown> | undefined {
  try {
    return asObject(JSON.parse(line));
  } catch {
    return undefined;
  }
}

function asObject(value: unknown): Record<string, unknown> | undefined {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? (value as Record<string, unknown>) : undefined;
}

function describe(error: unknown): string {
  const { desc } = asObject(error) ?? {};
  return typeof desc === 'string' ? desc.slice(0, 200) : 'no reason given';
}

function qmpError(why: string): VolleyError {
  return new VolleyError('ERR_VOLLEY_QEMU', `QEMU's monitor: ${why}`);
}

function timeout(what: string, timeoutMs: number): VolleyError {
  return new VolleyError('ERR_VOLLEY_TIMEOUT', `QEMU's monitor did not answer ${what} in ${timeoutMs} ms`);
}
