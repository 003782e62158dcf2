import { ArenaPages, type PageLayout } from './arena-pages.js';
import type { Flights } from './flights.js';
import { Quarantine } from './quarantine.js';

/** Part of the arena that may rest, as a divisor, and how many slots. */
const RESTING_SHARE = 8;
const RESTING_MAX = 2 ** 20;
/** Slots that are let go at a time when too many rest. */
const EARLY_BATCH = 64;
/** Milliseconds that a page stays closed beyond the time that slots rest. */
const CLOSED_MS = 5000;
/** Milliseconds for which a client that does not read its answers may hold up slots that are wanted. */
export const HELD_UP_MS_MAX = 2000;
/** While pages can be emptied, an item gets a slot at most so many times its size. */
const WASTE_MAX = 2;

export interface SlotOptions extends PageLayout {
  /** Milliseconds that a freed slot rests before it is given out again. */
  quarantineMs: number;
  /** The writes that may still refer to freed slots. */
  flights: Flights;
  /** Told when a size class has no slot left, and there is no page to be cut for it. */
  onStarved?: () => void;
}

/** Gives out slots of the arena, and has those that are freed rest. Bookkeeping: 8 bytes per resting slot. */
export class Slots extends ArenaPages {
  /** Bytes of the slots in quarantine. */
  restingBytes = 0;
  /** While memory is wanted at most so many bytes rest, and never more slots than restingMax, but for what writes hold. */
  readonly restingBytesMax: number;
  readonly restingMax = RESTING_MAX;
  /** Slots that were let go before their time, for want of memory or because too many rested. */
  releasedEarly = 0;
  /** Whether the last store found no slot of its size class. */
  private isStarved = false;
  private readonly quarantine: Quarantine;

  constructor(private readonly options: SlotOptions) {
    super(options);
    const { pageBytes, pageCount, flights, quarantineMs } = options;
    this.restingBytesMax = Math.max(pageBytes, Math.floor((pageBytes * pageCount) / RESTING_SHARE));
    this.quarantine = new Quarantine(flights, quarantineMs);
  }

  /** Slots in quarantine. */
  get resting(): number {
    return this.quarantine.size;
  }

  /**
   * Arena offset of a slot of at least `bytes` (at most a page), or -1 when there is none. Where neither the size class
   * nor the pool has one left, a slot of a larger class serves: better waste than refuse.
   */
  take(bytes: number): number {
    const sizeClass = this.classFor(bytes);
    if (!this.hasRoom(sizeClass)) this.releaseForUse();
    const slot = this.takeFor(sizeClass);
    this.isStarved = slot < 0;
    if (!this.isStarved) return slot;
    this.options.onStarved?.();
    const most = this.canEmptyPage ? WASTE_MAX * bytes : this.options.pageBytes;
    for (let serving = sizeClass + 1; serving < this.classBytes.length; serving++) {
      if (this.classBytes[serving]! > most) break;
      const larger = this.takeIn(serving);
      if (larger >= 0) return larger;
    }
    return -1;
  }

  /** Whether pages are being emptied, or are about to be. */
  get isEmptying(): boolean {
    return (
      this.closed.size > 0 || (this.isStarved && this.options.onStarved !== undefined && this.canEmptyPage)
    );
  }

  /** Frees a slot whose item readers may still be reading: it rests first. */
  retire(offset: number): void {
    this.restingBytes += this.slotBytes(offset);
    this.quarantine.add(offset, this.options.nowMs());
    while (this.resting > RESTING_MAX && this.releaseEarly(EARLY_BATCH) > 0);
  }

  /** Frees what has rested enough. */
  release(): void {
    this.quarantine.release(this.options.nowMs(), this.endRest);
    if (this.closed.size > 0) this.reopenOldest();
  }

  /** An item whose value was under way when the page was closed may stand there for ever. */
  private reopenOldest(): void {
    const longAgo = this.options.nowMs() - this.options.quarantineMs - CLOSED_MS;
    for (const [page, closedMs] of this.closed) {
      if (closedMs > longAgo) return;
      this.reopen(page);
    }
  }

  /** Frees what has rested enough, and what rests beyond the share of memory that may while some is wanted. */
  private releaseForUse(): void {
    this.release();
    while (this.restingBytes > this.restingBytesMax && this.releaseEarly(EARLY_BATCH) > 0);
  }

  /** Whether socket writes hold up slots that are wanted. */
  get isHeldUp(): boolean {
    return this.isStarved && this.restingBytes > this.restingBytesMax;
  }

  /** Frees the slots that have rested longest, so many at most; returns how many. */
  releaseEarly(most: number): number {
    const released = this.quarantine.releaseEarly(most, this.endRest);
    this.releasedEarly += released;
    return released;
  }

  private readonly endRest = (offset: number): void => {
    this.restingBytes -= this.slotBytes(offset);
    this.give(offset);
  };
}
