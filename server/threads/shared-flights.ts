import { Flights } from '../flights.js';
import type { SharedBoard } from './shared-board.js';

/**
 * The main thread's flights, and those of its reader threads: a freed slot rests until no thread has anything under way that
 * may refer to it. That is epoch-based reclamation (Fraser, "Practical lock-freedom", 2004): the generation is told to the
 * threads, each announces that of its oldest read before it looks a key up, and the oldest of all counts.
 *
 * Why that holds: a thread stores what it announces, then reads the table; the main thread takes the item out of the table,
 * then (advance() or here) reads what is announced. All of these are sequentially consistent, so at least one of them sees the
 * other: either the thread's generation is seen here, or the thread does not find the item.
 */
export class SharedFlights extends Flights {
  constructor(
    private readonly board: SharedBoard,
    private readonly threads: number,
  ) {
    super();
    this.advance();
  }

  override advance(generation: number = this.generation + 1): void {
    // 0 says that a thread has nothing under way.
    super.advance((generation | 0) === 0 ? generation + 1 : generation);
    this.board.generation = this.generation | 0;
  }

  override get oldest(): number {
    let oldest = super.oldest;
    for (let thread = 0; thread < this.threads; thread++) {
      const bits = this.board.announced(thread);
      if (bits === 0) continue;
      // No thread is behind by 2^32 generations: it would have been ended long before.
      oldest = Math.min(oldest, this.generation - (((this.generation | 0) - bits) >>> 0));
    }
    return oldest;
  }
}
