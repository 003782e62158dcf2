import { asBuffer } from '../../src/digest.js';
import type { Piece } from './piece.js';
import type { PieceSource } from './source.js';

/** An upload from memory. The caller leaves the bytes as they are until the upload has ended. */
export class BufferSource implements PieceSource {
  readonly label = 'the buffer';
  readonly bytes: number;
  readonly #data: Buffer;
  #position = 0;

  constructor(data: Uint8Array) {
    this.#data = asBuffer(data);
    this.bytes = data.length;
  }

  async next(piece: Piece): Promise<boolean> {
    const part = this.#data.subarray(this.#position, this.#position + piece.bytesMax);
    piece.fd = null;
    piece.length = part.length;
    this.#position += part.length;
    piece.fill(0, part);
    return part.length > 0;
  }

  async reread(position: number, length: number): Promise<Buffer> {
    return this.#data.subarray(position, position + length);
  }

  rewind(): boolean {
    this.#position = 0;
    return true;
  }

  async confirmUnchanged(): Promise<void> {}

  abort(): void {}

  async close(): Promise<void> {}
}
