import { settler } from '../deadline.js';
import { Piece } from './piece.js';

/** The pieces of one upload: their number bounds the memory that it takes and the bytes that are on their way. */
export class PiecePool {
  readonly #free: Piece[] = [];
  readonly #capacity: number;
  #made = 0;
  #waiter: { resolve: () => void; reject: (error: unknown) => void } | null = null;
  #failure: { error: unknown } | null = null;

  /** @param bytesMax data of a piece */
  constructor(
    capacity: number,
    readonly bytesMax: number,
    readonly chunkBytes: number,
  ) {
    this.#capacity = capacity;
  }

  /** A free piece, as soon as there is one. @throws what fail() was given */
  async take(): Promise<Piece> {
    for (;;) {
      if (this.#failure) throw this.#failure.error;
      const piece = this.#free.pop();
      if (piece) return piece;
      if (this.#made < this.#capacity) {
        this.#made++;
        return new Piece(this.bytesMax, this.chunkBytes, (freed) => this.give(freed));
      }
      await this.#change();
    }
  }

  /** Takes back a piece that was not used or that nobody uses any more. */
  give(piece: Piece): void {
    this.#free.push(piece);
    this.#waiter?.resolve();
  }

  /** Waits until no piece is in use. @throws what fail() was given */
  async drained(): Promise<void> {
    for (;;) {
      if (this.#failure) throw this.#failure.error;
      if (this.#free.length === this.#made) return;
      await this.#change();
    }
  }

  /** Ends every wait. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#waiter?.reject(this.#failure.error);
  }

  async #change(): Promise<void> {
    const { promise, resolve, reject } = settler<void>();
    this.#waiter = { resolve, reject };
    try {
      await promise;
    } finally {
      this.#waiter = null;
    }
  }
}
