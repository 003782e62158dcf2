import { CHUNK_BYTES_MIN, chunkLength, RECORD_BYTES } from '../../src/manifest.js';

/** Bytes of an image that are read, hashed and sent together. */
export const PIECE_BYTES = 1024 * 1024;

const BUFFER_BYTES = PIECE_BYTES + (PIECE_BYTES / CHUNK_BYTES_MIN) * RECORD_BYTES;

/**
 * A part of an image on its way to the nodes: up to PIECE_BYTES of data and behind them, in the same buffer, the
 * records of its chunks. The buffer is handed to a hashing thread and back by transfer, so that only one thread can
 * touch it at a time, and goes round: it is filled anew once nobody uses the piece any more.
 */
export class Piece {
  buffer = new ArrayBuffer(BUFFER_BYTES);
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
    return Buffer.from(this.buffer, 0, this.length);
  }

  get records(): Buffer {
    return Buffer.from(this.buffer, PIECE_BYTES, this.chunkCount * RECORD_BYTES);
  }

  /** The bytes of the piece's chunk `index`, without copying. */
  chunk(index: number): Buffer {
    const length = chunkLength(index, this.length, this.chunkBytes);
    return Buffer.from(this.buffer, index * this.chunkBytes, length);
  }

  hold(): void {
    this.#users++;
  }

  release(): void {
    this.#users--;
    if (this.#users === 0) this.onFree(this);
  }
}
