import { Flights } from '../flights.js';
import type { SharedBoard } from './shared-board.js';

/**
 * What a reader thread has under way: lookups, between enter() and leave(), and writes to sockets. The oldest of it is
 * announced to the main thread, which lets no slot be reused that was freed since; see SharedFlights.
 */
export class ThreadFlights extends Flights {
  private isInside = false;

  constructor(
    private readonly board: SharedBoard,
    private readonly thread: number,
  ) {
    super();
    board.announce(thread, 0);
  }

  /** Has to come before keys are looked up. What is found then may be looked at until leave(), and sent by writes begun before. */
  enter(): void {
    this.isInside = true;
    const { generation } = this.board;
    if (generation !== this.generation) this.advance(generation);
    if (super.oldest === Number.POSITIVE_INFINITY) this.board.announce(this.thread, this.generation);
  }

  leave(): void {
    this.isInside = false;
    this.announce();
  }

  override end(generation: number): void {
    super.end(generation);
    this.announce();
  }

  private announce(): void {
    const { oldest } = this;
    const idle = this.isInside ? this.generation : 0;
    this.board.announce(this.thread, oldest === Number.POSITIVE_INFINITY ? idle : oldest);
  }
}
