import type { Slots } from './slots.js';
import type { Store } from './store.js';

/** Pages that are emptied ahead of their use: a part of the arena, as a divisor, and so many at least. */
const AHEAD_SHARE = 64;
const AHEAD_MIN = 4;

/**
 * Empties pages that are used sparsely, by moving their items to other pages of the size class, when another class wants
 * memory: a page per turn of the event loop. What was moved from rests as freed slots do, so readers are safe.
 */
export class Compactor {
  /** Items moved, and pages emptied by that. */
  movedItems = 0;
  emptiedPages = 0;
  private immediate: NodeJS.Immediate | undefined;

  constructor(
    private readonly store: Store,
    private readonly slots: Slots,
  ) {}

  /** Whether pages are being emptied. */
  get isBusy(): boolean {
    return this.immediate !== undefined;
  }

  /** To be called when a size class has no slot left. */
  want(): void {
    if (this.isBusy || !this.slots.canEmptyPage) return;
    this.immediate = setImmediate(() => {
      this.immediate = undefined;
      if (this.step()) this.want();
    });
  }

  stop(): void {
    clearImmediate(this.immediate);
    this.immediate = undefined;
  }

  /** Empties a page; false when enough are on their way, or none can be. */
  private step(): boolean {
    const ahead = Math.max(AHEAD_MIN, Math.floor(this.store.arena.pageCount / AHEAD_SHARE));
    if (this.slots.closedPages + this.slots.freePages >= ahead) return false;
    const page = this.slots.sparsestPage();
    return page >= 0 && this.empty(page);
  }

  private empty(page: number): boolean {
    const sizeClass = this.slots.classOfPage(page);
    this.slots.close(page);
    for (let slot = this.slots.nextUsedIn(page, 0); slot >= 0; slot = this.slots.nextUsedIn(page, slot + 1)) {
      // The others rest, or a value is being received into them.
      if (!this.store.holdsItem(slot) || this.store.removeIfDead(slot)) continue;
      const to = this.slots.takeIn(sizeClass);
      if (to < 0) {
        this.slots.reopen(page);
        return false;
      }
      this.store.move(slot, to);
      this.movedItems++;
    }
    this.emptiedPages++;
    return true;
  }
}
