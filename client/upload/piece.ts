import { DIGEST_BYTES } from '../../src/digest.js';
import { CHUNK_KEY_PREFIX } from '../../src/keys.js';
import { chunkCountOf, chunkLength, RECORD_BYTES } from '../../src/manifest.js';
import { native } from '../../src/native.js';

/** Bytes of an image that are read, hashed and sent together. */
export const PIECE_BYTES = 1024 * 1024;

const ADD = 'add ';
const KEY_CHARS = CHUNK_KEY_PREFIX.length + 2 * DIGEST_BYTES;
const END_BYTES = 2;

/** Bytes of an `add` before its data: the command's text (native/piece_writer.h). */
function headBytes(chunkBytes: number): number {
  return ADD.length + KEY_CHARS + ` 0 0 ${chunkBytes}\r\n`.length;
}

/**
 * A part of an image on its way to the nodes: its chunks, each inside the text of the command that stores it, and their
 * records. Who may touch it goes with the piece: first the source, then a hashing thread, then the lanes, for as long as
 * they hold it; when nobody does any more, it is filled anew.
 */
export class Piece {
  /** Index in the image of the first chunk. */
  firstChunk = 0;
  /** Bytes of data. */
  length = 0;
  /** Where the data is still to be read from; fd null when it is in the piece already. */
  fd: number | null = null;
  position = 0;
  readonly #head: number;
  readonly #text: Buffer;
  readonly #records: Buffer;
  #users = 0;

  /**
   * @param bytesMax data that it has room for
   * @param onFree is called when nobody holds it any more
   */
  constructor(
    readonly bytesMax: number,
    readonly chunkBytes: number,
    readonly onFree: (piece: Piece) => void,
  ) {
    const chunks = chunkCountOf(bytesMax, chunkBytes);
    this.#head = headBytes(chunkBytes);
    this.#text = Buffer.allocUnsafeSlow(bytesMax + chunks * (this.#head + END_BYTES));
    this.#records = Buffer.allocUnsafeSlow(chunks * RECORD_BYTES);
  }

  get chunkCount(): number {
    return chunkCountOf(this.length, this.chunkBytes);
  }

  get records(): Buffer {
    return this.#records.subarray(0, this.chunkCount * RECORD_BYTES);
  }

  /** Puts data at a byte offset of the piece's data. Not for pieces whose data is read from a file. */
  fill(offset: number, data: Uint8Array): void {
    for (let done = 0; done < data.length; ) {
      const chunk = Math.floor((offset + done) / this.chunkBytes);
      const inside = (offset + done) % this.chunkBytes;
      const part = data.subarray(done, done + this.chunkBytes - inside);
      this.#text.set(part, this.#start(chunk) + inside);
      done += part.length;
    }
  }

  /** Reads the data if need be, writes records and commands. @throws Error with the system's words */
  write(): Promise<void> {
    const { length, chunkBytes, fd, position } = this;
    return native().writePiece(this.#text, this.#records, { length, chunkBytes, fd, position });
  }

  /** Bytes of the piece's chunk `index`. */
  chunkLength(index: number): number {
    return chunkLength(index, this.length, this.chunkBytes);
  }

  /**
   * The text that stores some chunks, in as few ranges as they lie in, without copying.
   * @param chunks indexes in the piece, ascending
   */
  addCommands(chunks: readonly number[]): Buffer[] {
    const ranges: Buffer[] = [];
    let begin = -1;
    let end = -1;
    for (const chunk of chunks) {
      const start = this.#start(chunk) - headBytes(this.chunkLength(chunk));
      if (start !== end) {
        if (begin >= 0) ranges.push(this.#text.subarray(begin, end));
        begin = start;
      }
      end = this.#start(chunk) + this.chunkLength(chunk) + END_BYTES;
    }
    if (begin >= 0) ranges.push(this.#text.subarray(begin, end));
    return ranges;
  }

  /** The text behind the command's word: key, flags, exptime, length, data. */
  argumentsOf(chunk: number): Buffer {
    return this.addCommands([chunk])[0]!.subarray(ADD.length);
  }

  hold(): void {
    this.#users++;
  }

  release(): void {
    this.#users--;
    if (this.#users === 0) this.onFree(this);
  }

  #start(chunk: number): number {
    return chunk * (this.#head + this.chunkBytes + END_BYTES) + this.#head;
  }
}
