import type { Clock } from './clock.js';

const INTERVAL_MS = 10_000;

/** Has something logged that may happen thousands of times a second: at once, then once in a while with how often it was. */
export class RareLog {
  /** How often it has happened since it was logged last. */
  private unlogged = 0;
  private loggedMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly clock: Clock,
    private readonly write: (count: number) => void,
  ) {}

  note(): void {
    this.unlogged++;
    this.flush();
  }

  /** To be called now and then, so that what came last is logged, too. */
  flush(): void {
    const now = this.clock.monotonicMs();
    if (this.unlogged === 0 || now - this.loggedMs < INTERVAL_MS) return;
    this.loggedMs = now;
    const count = this.unlogged;
    this.unlogged = 0;
    this.write(count);
  }
}
