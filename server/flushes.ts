import type { Clock } from './clock.js';
import { nodeExptime } from './exptime.js';
import type { Ledger } from './ledger.js';

/** Which items were flushed: those stored up to a moment, told by their cas uniques. Kept in the region's ledger. */
export class Flushes {
  /** Items with a cas unique up to this one were flushed. */
  upToCas: number;

  constructor(
    private readonly ledger: Ledger,
    private readonly clock: Clock,
  ) {
    this.upToCas = ledger.flushedCas;
  }

  /** Makes all items of now dead, at once or after a delay as the client gave it. A later call replaces an earlier one. */
  flush(delay: number): void {
    const now = this.clock.seconds();
    const due = nodeExptime(delay, this.clock);
    this.ledger.flushDue = due > now ? due : 0;
    if (due <= now) this.flushAll();
  }

  /** Carries out a delayed flush that is due. True when it did. */
  flushIfDue(): boolean {
    const due = this.ledger.flushDue;
    if (due === 0 || due > this.clock.seconds()) return false;
    this.flushAll();
    return true;
  }

  private flushAll(): void {
    this.upToCas = this.ledger.lastCas;
    this.ledger.flushedCas = this.upToCas;
    this.ledger.flushDue = 0;
  }
}
