import type { Clock } from './clock.js';
import type { Store } from './store.js';

/** Items looked at in one go; some milliseconds. */
const STEP_ITEMS = 4096;
/** Least milliseconds between two turns that are made for want of memory. */
const RECLAIM_INTERVAL_MS = 1000;

/**
 * Takes dead items away that nobody asks for: a step per tick while some item has an exptime; the whole arena, step by
 * step without pause, when hurried or when items that were given a short life have expired.
 */
export class Sweeper {
  /** Whether a hurried turn through the arena is under way. */
  isHurrying = false;
  /** Where the next step begins, as an arena offset; 0 = a new turn. */
  private at = 0;
  private immediate: NodeJS.Immediate | undefined;

  private reclaimedMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
  ) {}

  /** To be called a few times a second. */
  tick(): void {
    const hasExpired = this.store.nearExpiry.takeDue(this.clock.seconds());
    if (this.store.flushes.flushIfDue() || hasExpired) this.hurry();
    else if (!this.isHurrying && this.store.tally.expiringItems > 0) this.step();
  }

  /** Takes away all items that are dead now; the first step is done at once. A turn that is under way begins anew. */
  hurry(): void {
    this.at = 0;
    this.goOn();
  }

  /** Hurries when memory is wanted; at most once a second, for a full node may be asked for more all the time. */
  reclaim(): void {
    const now = this.clock.monotonicMs();
    if (this.isHurrying || now - this.reclaimedMs < RECLAIM_INTERVAL_MS) return;
    this.reclaimedMs = now;
    this.hurry();
  }

  stop(): void {
    clearImmediate(this.immediate);
    this.isHurrying = false;
  }

  private goOn(): void {
    clearImmediate(this.immediate);
    this.step();
    this.isHurrying = this.at !== 0;
    if (this.isHurrying) this.immediate = setImmediate(() => this.goOn());
  }

  /** Looks at the next items; comes back to 0 at the arena's end. */
  private step(): void {
    for (let i = 0; i < STEP_ITEMS; i++) {
      const slot = this.store.nextItem(this.at);
      if (slot < 0) {
        this.at = 0;
        return;
      }
      this.store.removeIfDead(slot);
      this.at = slot + 1;
    }
  }
}
