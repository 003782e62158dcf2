import { availableParallelism } from 'node:os';
import { systemWords } from '../../src/system-error.js';
import type { Piece } from './piece.js';

/** Of libuv's four threads, which also look up names and open files. */
const THREADS = Math.min(3, availableParallelism());

/** Is told when a piece's records are written, or why its data could not be read. */
export type OnHashed = (fault: string | null) => void;

interface Job {
  piece: Piece;
  onHashed: OnHashed;
}

/** Hashes the pieces of all uploads, off the main thread, a bounded number at a time. Results come in any order. */
export class HashPool {
  readonly #waiting: Job[] = [];
  #running = 0;
  #closed = false;

  /** Hashes a piece. Nobody may touch it before `onHashed` has been called. */
  submit(piece: Piece, onHashed: OnHashed): void {
    this.#waiting.push({ piece, onHashed });
    this.#schedule();
  }

  /** Takes no more work; an upload that is under way fails. */
  close(): void {
    this.#closed = true;
    this.#schedule();
  }

  #schedule(): void {
    while (this.#waiting.length > 0 && (this.#closed || this.#running < THREADS)) {
      const { piece, onHashed } = this.#waiting.shift()!;
      if (this.#closed) onHashed('the cluster was closed');
      else this.#run(piece, onHashed);
    }
  }

  #run(piece: Piece, onHashed: OnHashed): void {
    this.#running++;
    piece.write().then(
      () => this.#finish(onHashed, null),
      (error) => this.#finish(onHashed, systemWords(error)),
    );
  }

  /** The thread gets its next piece before this one is sent. */
  #finish(onHashed: OnHashed, fault: string | null): void {
    this.#running--;
    this.#schedule();
    onHashed(this.#closed ? 'the cluster was closed' : fault);
  }
}
