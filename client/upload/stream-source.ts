import type { Readable } from 'node:stream';
import { isVolleyError, VolleyError } from '../../src/errors.js';
import { systemWords } from '../../src/system-error.js';
import type { Piece } from './piece.js';
import { fileError, type PieceSource } from './source.js';

/** An upload from a stream of bytes, such as stdin: its size shows at its end, and it can be read only once. */
export class StreamSource implements PieceSource {
  readonly label: string;
  readonly bytes = null;
  readonly #stream: Readable;
  readonly #parts: AsyncIterator<unknown>;
  #left: Uint8Array = new Uint8Array(0);

  /** @param label what to call the stream in messages */
  constructor(stream: Readable, label: string) {
    this.#stream = stream;
    this.label = label;
    this.#parts = stream[Symbol.asyncIterator]();
  }

  async next(piece: Piece): Promise<boolean> {
    piece.fd = null;
    let filled = 0;
    while (filled < piece.bytesMax && (await this.#more())) {
      const part = this.#left.subarray(0, piece.bytesMax - filled);
      piece.fill(filled, part);
      filled += part.length;
      this.#left = this.#left.subarray(part.length);
    }
    piece.length = filled;
    return filled > 0;
  }

  async reread(): Promise<null> {
    return null;
  }

  rewind(): boolean {
    return false;
  }

  async confirmUnchanged(): Promise<void> {}

  abort(error: Error): void {
    this.#stream.destroy(error);
  }

  async close(): Promise<void> {
    this.#stream.destroy();
  }

  /** Waits until #left holds bytes; false at the stream's end. */
  async #more(): Promise<boolean> {
    while (this.#left.length === 0) {
      const { value, done } = await this.#parts.next().catch((error: Error) => {
        throw isVolleyError(error) ? error : fileError(this.label, systemWords(error), error);
      });
      if (done) return false;
      if (!(value instanceof Uint8Array)) {
        throw new VolleyError(
          'ERR_VOLLEY_USAGE',
          `${this.label} gives ${typeof value}s; an upload needs bytes`,
        );
      }
      this.#left = value;
    }
    return true;
  }
}
