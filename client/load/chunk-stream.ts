import type { Socket } from 'node:net';
import { greetingOf } from '../../src/credentials.js';
import { xxh3 } from '../../src/digest.js';
import { chunkLength, RECORD_BYTES } from '../../src/manifest.js';
import {
  FAILURE_REASONS,
  type FailureReason,
  type ReaderOptions,
  type ReaderPathStats,
} from '../../src/native.js';
import type { ClusterNode } from '../cluster-node.js';
import { dial } from '../secure.js';

const WINDOW = 32;
const RETRIES = 2;
const TIMEOUT_MS = 5000;
const LINE_BYTES_MAX = 2048;
const CHUNK_BYTES_MAX = 1024 * 1024;
const DIGEST_BYTES = 16;
const LF = 0x0a;
const END = Buffer.from('\r\nEND\r\n');

/** What a stream brought. */
export interface StreamResult {
  stats: ReaderPathStats;
  /** Pairs: chunk index, reason (index into FAILURE_REASONS). */
  failures: number[];
}

/**
 * Reads chunks from one node over TLS, by pipelined gets, and verifies each before it is written to the destination. The
 * native reader opens plain sockets only; here bytes are deciphered in this process's JavaScript, at some 100 MB/s.
 */
export class ChunkStream {
  private readonly stats: ReaderPathStats = {
    chunks: 0,
    bytes: 0,
    indexBytes: 0,
    window: WINDOW,
    readNs: 0,
    verifyNs: 0,
    retries: 0,
    checksumFailures: 0,
    error: '',
  };
  private readonly failures: number[] = [];
  /** Chunks to ask for, the next one last. */
  private readonly wanted: number[];
  /** Chunks that were asked for, in order. */
  private readonly asked: number[] = [];
  private readonly attempts = new Map<number, number>();
  private received: Buffer = Buffer.alloc(0);
  private isGreeted = true;
  private timer: NodeJS.Timeout | undefined;
  private socket: Socket | undefined;
  private settle: () => void = () => {};
  private ended = false;

  /** @param onChunk told of the bytes of each chunk that has come */
  constructor(
    private readonly node: ClusterNode,
    private readonly options: ReaderOptions,
    chunks: readonly number[],
    private readonly onChunk: (bytes: number) => void,
  ) {
    this.wanted = [...chunks].reverse();
  }

  /** Never rejects. When it settles, the destination is not touched any more. */
  async run(): Promise<StreamResult> {
    const startNs = process.hrtime.bigint();
    await new Promise<void>((resolve) => {
      this.settle = resolve;
      this.open();
    });
    this.stats.readNs = Number(process.hrtime.bigint() - startNs) - this.stats.verifyNs;
    return { stats: this.stats, failures: this.failures };
  }

  cancel(): void {
    this.end('canceled', '');
  }

  private open(): void {
    const { credentials } = this.node;
    const socket = dial(this.node, () => {
      if (credentials) socket.write(greetingOf(credentials));
      this.isGreeted = credentials === null;
      this.ask();
    });
    this.socket = socket;
    socket.on('data', (bytes) => this.take(bytes));
    socket.on('error', (error) => this.end('connection', error.message));
    socket.on('close', () => this.end('connection', 'it closed the connection'));
    this.awaitBytes();
  }

  private awaitBytes(): void {
    clearTimeout(this.timer);
    const timeoutMs = this.options.readTimeoutMs ?? TIMEOUT_MS;
    this.timer = setTimeout(() => this.end('timeout', ''), timeoutMs);
  }

  private ask(): void {
    let requests = '';
    while (this.asked.length < WINDOW && this.wanted.length > 0) {
      const chunk = this.wanted.pop()!;
      this.asked.push(chunk);
      requests += `get ${this.keyOf(chunk)}\r\n`;
    }
    if (requests !== '') this.socket!.write(requests, 'latin1');
    else if (this.asked.length === 0) this.end(null, '');
  }

  private take(bytes: Buffer): void {
    this.received = this.received.length === 0 ? bytes : Buffer.concat([this.received, bytes]);
    let at = 0;
    for (let next = 0; next >= 0 && !this.ended; ) {
      next = this.isGreeted ? this.takeAnswer(at) : this.takeGreeting(at);
      if (next >= 0) at = next;
    }
    this.received = this.received.subarray(at);
    if (this.ended) return;
    this.awaitBytes();
    this.ask();
  }

  private takeGreeting(at: number): number {
    const line = this.line(at);
    if (line === null) return -1;
    if (line.text !== 'STORED') this.end('connection', 'it does not take this user and password');
    this.isGreeted = true;
    return line.next;
  }

  /** Takes the answer that begins at `at`. Returns where the next one begins, or -1 when it has not come whole. */
  private takeAnswer(at: number): number {
    const line = this.line(at);
    const chunk = this.asked[0];
    if (line === null || chunk === undefined) return -1;
    if (line.text === 'END') {
      this.lose(chunk, 'missing');
      return line.next;
    }
    const [, key, digits] = /^VALUE (\S+) \d+ (\d{1,7})$/.exec(line.text) ?? [];
    const length = Number(digits);
    if (key !== this.keyOf(chunk) || length > CHUNK_BYTES_MAX) {
      this.end('protocol', 'it answered something else than a value');
      return -1;
    }
    const end = line.next + length + END.length;
    if (this.received.length < end) return -1;
    const value = this.received.subarray(line.next, line.next + length);
    if (END.compare(this.received, line.next + length, end) !== 0)
      this.end('protocol', 'its value does not end');
    else if (length !== this.lengthOf(chunk)) this.lose(chunk, 'length');
    else this.verify(chunk, value);
    return end;
  }

  private verify(chunk: number, value: Buffer): void {
    const { records, destination, destinationOffset, chunkBytes } = this.options;
    const startNs = process.hrtime.bigint();
    const at = chunk * RECORD_BYTES + DIGEST_BYTES;
    const isRight = xxh3(value).compare(records, at, at + 8) === 0;
    this.stats.verifyNs += Number(process.hrtime.bigint() - startNs);
    if (!isRight) {
      this.stats.checksumFailures++;
      this.lose(chunk, 'checksum');
      return;
    }
    this.asked.shift();
    destination.write(destinationOffset + chunk * chunkBytes, value);
    this.stats.chunks++;
    this.stats.bytes += value.length;
    this.onChunk(value.length);
  }

  /** A chunk that did not come is asked for again, or given up. */
  private lose(chunk: number, reason: FailureReason): void {
    this.asked.shift();
    const attempts = (this.attempts.get(chunk) ?? 0) + 1;
    this.attempts.set(chunk, attempts);
    if (attempts > (this.options.retries ?? RETRIES)) {
      this.failures.push(chunk, FAILURE_REASONS.indexOf(reason));
      return;
    }
    this.stats.retries++;
    this.wanted.unshift(chunk);
  }

  /** Ends the stream; what has not come by now has failed for this reason. */
  private end(reason: FailureReason | null, error: string): void {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.timer);
    this.stats.error = error;
    if (reason !== null) {
      for (const chunk of [...this.asked, ...this.wanted])
        this.failures.push(chunk, FAILURE_REASONS.indexOf(reason));
    }
    this.socket?.destroy();
    this.settle();
  }

  private line(at: number): { text: string; next: number } | null {
    const lf = this.received.indexOf(LF, at);
    if (lf >= 0) return { text: this.received.toString('latin1', at, lf).replace(/\r$/, ''), next: lf + 1 };
    if (this.received.length - at > LINE_BYTES_MAX) this.end('protocol', 'its line does not end');
    return null;
  }

  private keyOf(chunk: number): string {
    const { keyPrefix, records } = this.options;
    const at = chunk * RECORD_BYTES;
    return keyPrefix + Buffer.from(records.subarray(at, at + DIGEST_BYTES)).toString('hex');
  }

  private lengthOf(chunk: number): number {
    const { imageBytes, chunkBytes } = this.options;
    return chunkLength(chunk, imageBytes, chunkBytes);
  }
}
