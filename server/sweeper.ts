import type { Store } from './store.js';

/** Items looked at in one go; some milliseconds. */
const STEP_ITEMS = 4096;

/**
 * Takes dead items away that nobody asks for. Expired ones a step per tick, and only while some item has an exptime;
 * after a flush the whole arena, step by step without pause.
 */
export class Sweeper {
  private at = 0;
  private flushed = false;
  private immediate: NodeJS.Immediate | undefined;

  constructor(private readonly store: Store) {}

  /** To be called a few times a second. */
  tick(): void {
    if (this.store.flushIfDue()) this.sweepAll();
    else if (!this.flushed && this.store.expiringItems > 0) this.step();
  }

  /** Begins to take away all items that are dead now. The first step is done at once. */
  sweepAll(): void {
    this.at = 0;
    this.flushed = true;
    this.goOn();
  }

  stop(): void {
    if (this.immediate) clearImmediate(this.immediate);
    this.immediate = undefined;
    this.flushed = false;
  }

  private goOn(): void {
    if (this.immediate) clearImmediate(this.immediate);
    this.immediate = undefined;
    this.step();
    if (this.at === 0) this.flushed = false;
    else this.immediate = setImmediate(() => this.goOn());
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
