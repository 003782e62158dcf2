import { CHUNK_BYTES_MIN, chunkLength, RECORD_BYTES } from '../../src/manifest.js';

/** Bytes of an image that are read, hashed and sent together. */
export const PIECE_BYTES = 1024 * 1024;

const BUFFER_BYTES = PIECE_BYTES + (PIECE_BYTES / CHUNK_BYTES_MIN) * RECORD_BYTES;

/**
 * A part of an image on its way to the nodes: up to PIECE_BYTES of data and behind them, in the same memory, the
 * records of its chunks. The memory is shared with the hashing threads. Who may touch it goes with the piece: first
 * the source, then one hashing thread, then the lanes, for as long as they hold it; when nobody does any more, it is
 * filled anew.
 */
export class Piece {
  readonly buffer = new SharedArrayBuffer(BUFFER_BYTES);
  readonly #bytes = Buffer.from(this.buffer);
  /** Index in the image of the first chunk. */
  firstChunk = 0;
  length = 0;
  chunkBytes = 0;
  /** Where the data is still to be read from; fd -1 when it is in the buffer already. */
  fd = -1;
  position = 0;
  #users = 0;

  constructor(readonly onFree: (piece: Piece) => void) {}

  get chunkCount(): number {
    return Math.ceil(this.length / this.chunkBytes);
  }

  get data(): Buffer {
    return this.#bytes.subarray(0, this.length);
  }

  get records(): Buffer {
    return this.#bytes.subarray(PIECE_BYTES, PIECE_BYTES + this.chunkCount * RECORD_BYTES);
  }

  /** The bytes of the piece's chunk `index`, without copying. */
  chunk(index: number): Buffer {
    const start = index * this.chunkBytes;
    return this.#bytes.subarray(start, start + chunkLength(index, this.length, this.chunkBytes));
  }

  hold(): void {
    this.#users++;
  }

  release(): void {
    this.#users--;
    if (this.#users === 0) this.onFree(this);
  }
}
