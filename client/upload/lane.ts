import type { VolleyError } from '../../src/errors.js';
import { chunkKey } from '../../src/keys.js';
import { RECORD_BYTES } from '../../src/manifest.js';
import { settler } from '../deadline.js';
import { isOutOfMemory, refusalError } from '../node-errors.js';
import type { TextConnection } from '../text-connection.js';
import type { Piece } from './piece.js';

const STATS = Buffer.from('stats volley\r\n', 'latin1');
const END_OF_VALUE = Buffer.from('\r\n', 'latin1');
/** Keys probed per request when an upload checks what it stored. */
const PROBE_BATCH = 1024;
/**
 * After so many bytes of chunks in a row that the node lacked, chunks are sent unasked for. What is sent in vain when that
 * was wrong is on its way by then: no more than an upload's pool of pieces, twice of what was new before.
 */
const ABSENT_BYTES = 8 * 1024 * 1024;
/** More lines of `stats volley` than any node has. */
const STATS_MAX = 4096;

/** What an upload's lane did. */
export interface LaneCounts {
  sentChunks: number;
  sentBytes: number;
  presentChunks: number;
}

/** A chunk of a piece (by its index there) that is to be sent. */
interface WantedChunk {
  chunk: number;
  command: 'add' | 'set' | 'replace';
}

/**
 * An upload's way to one node: probes which chunks the node has (`touch`, which moves no data and renews them) and
 * sends those that it has not (`add`), all pipelined on one connection; while the node lacks all of them it is not asked
 * first. Told to, it sends the others too, by `replace`: a `set` that a full node refuses would take away the chunk that is
 * there. What is on its way is bounded by the upload's pool of pieces.
 */
export class UploadLane {
  readonly counts: LaneCounts = { sentChunks: 0, sentBytes: 0, presentChunks: 0 };
  /** Items (indexes in the upload's record list) that the node had already, and that were sent to it. */
  readonly present: number[] = [];
  readonly sent: number[] = [];
  readonly #connection: TextConnection;
  readonly #resend: boolean;
  readonly #countsOnly: boolean;
  readonly #onError: (error: VolleyError) => void;
  /** What the node told of its removals before anything else, or null where it does not. */
  readonly #removalsBefore: Promise<string | null>;
  /** Of chunks in a row, the last ones, that the node lacked. */
  #absentBytes = 0;

  /**
   * @param how `resend`: whether chunks that the node holds are sent once more; `countsOnly`: whether none is sent, and
   *   `counts` tells what would be; `tellsRemovals`: whether the node counts what it takes away
   * @param onError is called when the node fails or refuses a chunk; the upload is over then
   */
  constructor(
    connection: TextConnection,
    how: { resend: boolean; countsOnly: boolean; tellsRemovals: boolean },
    onError: (error: VolleyError) => void,
  ) {
    this.#connection = connection;
    this.#resend = how.resend;
    this.#countsOnly = how.countsOnly;
    this.#onError = onError;
    this.#removalsBefore = how.tellsRemovals ? this.#removals() : Promise.resolve(null);
    // Whoever sends next is told of it, too.
    this.#removalsBefore.catch(() => {});
  }

  /**
   * Makes the node hold some chunks of a piece; holds the piece until that is done.
   * @param chunks indexes in the piece
   */
  offer(piece: Piece, chunks: readonly number[]): void {
    piece.hold();
    if (this.#absentBytes < ABSENT_BYTES || this.#resend || this.#countsOnly)
      this.#askFor(piece, chunks, 'add');
    else {
      this.#send(
        piece,
        chunks.map((chunk) => ({ chunk, command: 'add' })),
      );
    }
  }

  /** Sends those of a piece's chunks that the node says it lacks by `command`, then releases the piece. */
  #askFor(piece: Piece, chunks: readonly number[], command: 'add' | 'set'): void {
    const keys = chunks.map((chunk) => chunkKey(piece.records, chunk * RECORD_BYTES));
    const wanted: WantedChunk[] = [];
    this.#probe(keys, this.#onError, (index, present) => {
      const chunk = chunks[index]!;
      this.#absentBytes = present ? 0 : this.#absentBytes + piece.chunkLength(chunk);
      if (present && !this.#resend) {
        this.present.push(piece.firstChunk + chunk);
        this.counts.presentChunks++;
      } else {
        wanted.push({ chunk, command: present ? 'replace' : command });
      }
      if (index < keys.length - 1) return;
      if (this.#countsOnly) this.#count(piece, wanted);
      if (wanted.length === 0 || this.#countsOnly) piece.release();
      else this.#send(piece, wanted);
    });
  }

  /** Whether the node says that nothing was taken away since it was first asked for a chunk: it holds what it held or got. */
  async keptAll(): Promise<boolean> {
    const before = await this.#removalsBefore;
    return before !== null && (await this.#removals()) === before;
  }

  /** Which of these items the node does not hold (any more). @throws VolleyError when the node fails */
  async missing(items: readonly number[], keyOf: (item: number) => string): Promise<number[]> {
    const missing: number[] = [];
    for (let start = 0; start < items.length; start += PROBE_BATCH) {
      const batch = items.slice(start, start + PROBE_BATCH);
      const { promise, resolve, reject } = settler<void>();
      this.#probe(batch.map(keyOf), reject, (index, present) => {
        if (!present) missing.push(batch[index]!);
        if (index === batch.length - 1) resolve();
      });
      await promise;
    }
    return missing;
  }

  /** Sends one chunk and waits until the node has it. @throws VolleyError when the node fails or refuses */
  async store(key: string, data: Buffer): Promise<void> {
    const { promise, resolve, reject } = settler<void>();
    this.#connection.send({
      what: 'set',
      buffers: [Buffer.from(`set ${key} 0 0 ${data.length}\r\n`, 'latin1'), data, END_OF_VALUE],
      onError: reject,
      onLine: (line) => {
        this.#checkStored(line, data.length);
        resolve();
        return true;
      },
    });
    await promise;
  }

  close(): void {
    this.#connection.close();
  }

  #probe(
    keys: readonly string[],
    onError: (error: VolleyError) => void,
    onAnswer: (index: number, present: boolean) => void,
  ): void {
    let index = 0;
    const request = keys.map((key) => `touch ${key} 0\r\n`).join('');
    this.#connection.send({
      what: 'touch',
      buffers: [Buffer.from(request, 'latin1')],
      onError,
      onLine: (line) => {
        if (line !== 'TOUCHED' && line !== 'NOT_FOUND')
          throw refusalError(this.#connection.node, 'touch', line);
        onAnswer(index++, line === 'TOUCHED');
        return index === keys.length;
      },
    });
  }

  #count(piece: Piece, wanted: readonly WantedChunk[]): void {
    this.counts.sentChunks += wanted.length;
    for (const { chunk } of wanted) this.counts.sentBytes += piece.chunkLength(chunk);
  }

  /** The node's epoch and its count of removals, or null when it does not tell. */
  async #removals(): Promise<string | null> {
    const { promise, resolve, reject } = settler<string | null>();
    const told = { epoch: '', removals: '' };
    let lines = 0;
    this.#connection.send({
      what: 'stats',
      buffers: [STATS],
      onError: reject,
      onLine: (line) => {
        const [word, name, value = ''] = line.split(' ', 3);
        if (++lines > STATS_MAX) throw refusalError(this.#connection.node, 'stats', line);
        if (name === 'epoch' || name === 'removals') told[name] = value;
        if (word !== 'STAT') resolve(told.epoch && told.removals ? `${told.epoch} ${told.removals}` : null);
        return word !== 'STAT';
      },
    });
    return promise;
  }

  /** Sends chunks of a piece, then releases the piece. */
  #send(piece: Piece, wanted: readonly WantedChunk[]): void {
    const refused: number[] = [];
    let answered = 0;
    piece.hold();
    this.#connection.send({
      what: 'set',
      buffers: commandsOf(piece, wanted),
      onError: this.#onError,
      onWritten: () => piece.release(),
      onLine: (line) => {
        const { chunk, command } = wanted[answered]!;
        if (command === 'add' && (line === 'NOT_STORED' || isOutOfMemory(line))) {
          // It is there, perhaps not for long; or the node is full, and it may be there all the same.
          this.#absentBytes = 0;
          refused.push(chunk);
        } else {
          this.#noteSent(piece, chunk, command, line);
        }
        answered++;
        if (answered < wanted.length) return false;
        if (refused.length > 0) this.#askFor(piece, refused, 'set');
        else piece.release();
        return true;
      },
    });
  }

  #noteSent(piece: Piece, chunk: number, command: string, line: string): void {
    const length = piece.chunkLength(chunk);
    // A chunk that went away after its probe cannot be replaced; the probe after the manifest finds it missing.
    if (command !== 'replace' || line !== 'NOT_STORED') this.#checkStored(line, length);
    this.sent.push(piece.firstChunk + chunk);
    this.counts.sentChunks++;
    this.counts.sentBytes += length;
  }

  #checkStored(line: string, length: number): void {
    if (line !== 'STORED') throw refusalError(this.#connection.node, 'set', line, length);
  }
}

/** The commands that store some chunks of a piece, in their order. */
function commandsOf(piece: Piece, wanted: readonly WantedChunk[]): Buffer[] {
  if (wanted.every(({ command }) => command === 'add')) {
    return piece.addCommands(wanted.map(({ chunk }) => chunk));
  }
  return wanted.flatMap(({ chunk, command }) => [
    Buffer.from(`${command} `, 'latin1'),
    piece.argumentsOf(chunk),
  ]);
}
