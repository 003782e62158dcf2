import { STATE } from './item.js';
import type { Slots } from './slots.js';
import type { Store } from './store.js';

/** Items that the hand passes for one eviction before it takes the one that was used longest ago: some milliseconds. */
const LOOKS_MAX = 16_384;
/** Slots that are let go early, at most, to get one of the size that is wanted. */
const EARLY_MAX = 8192;
/** Part of the arena, as a divisor, whose worth of evicted slots rests, so that their reuse comes late. */
const RESERVE_SHARE = 32;
/** Pages of other classes that are looked at for older items, and slots of each. */
const SAMPLE_PAGES = 16;
const SAMPLE_SLOTS = 32;

/** What was evicted from one size class; memcached's names. */
export interface EvictionCounts {
  evicted: number;
  /** Of those the ones that had an exptime, were never read, or had been read since the hand came by last. */
  evictedNonzero: number;
  evictedUnfetched: number;
  evictedActive: number;
  /** Seconds for which the item evicted last had not been used. */
  evictedTime: number;
}

export const NO_EVICTIONS: Readonly<EvictionCounts> = {
  evicted: 0,
  evictedNonzero: 0,
  evictedUnfetched: 0,
  evictedActive: 0,
  evictedTime: 0,
};

/**
 * Makes room by evicting, as `--on-full evict` wants: the clock algorithm within the size class (an item that was read since
 * the hand came by is spared once, so that a read need not move anything), and a page of another class when that has gone
 * unused for longer, so that no class keeps memory for ever.
 */
export class Evictor {
  private readonly hands = new Map<number, number>();
  private readonly counts = new Map<number, EvictionCounts>();
  /** Per class the evictions since older items were looked for in other classes. */
  private readonly sinceRebalance = new Map<number, number>();
  /** Where the next sample of pages begins. */
  private samplePage = 0;

  constructor(
    private readonly store: Store,
    private readonly slots: Slots,
    private readonly nowSeconds: () => number,
  ) {}

  get total(): Readonly<EvictionCounts> {
    const total = noCounts();
    for (const counts of this.counts.values()) {
      total.evicted += counts.evicted;
      total.evictedNonzero += counts.evictedNonzero;
      total.evictedUnfetched += counts.evictedUnfetched;
      total.evictedActive += counts.evictedActive;
      total.evictedTime = Math.max(total.evictedTime, counts.evictedTime);
    }
    return total;
  }

  /** What was evicted from a class, counted from 1 as memcached does. */
  ofClass(classId: number): Readonly<EvictionCounts> {
    return this.counts.get(classId - 1) ?? NO_EVICTIONS;
  }

  resetCounts(): void {
    this.counts.clear();
  }

  /** Evicts and lets slots go early until an item of so many bytes has a slot. Returns it, or -1 when writes hold all. */
  makeRoom(bytes: number): number {
    const sizeClass = this.slots.classFor(bytes);
    if (!this.rebalance(sizeClass) && !this.evictFrom(sizeClass))
      this.evictPage(sizeClass, Number.POSITIVE_INFINITY, true);
    this.fillReserve(sizeClass);
    for (let early = 0; early < EARLY_MAX; early++) {
      const slot = this.slots.takeFor(sizeClass);
      if (slot >= 0) return slot;
      if (this.slots.releaseEarly(1) === 0) break;
    }
    return -1;
  }

  /** Evicts some item for the sake of the table, which is full. */
  evictAny(): boolean {
    const page = this.slots.nextPageInUse(this.samplePage++);
    return page >= 0 && this.evictFrom(this.slots.classOfPage(page));
  }

  private fillReserve(sizeClass: number): void {
    const { arena } = this.store;
    const reserve = (arena.pageBytes * arena.pageCount) / RESERVE_SHARE;
    for (let i = 0; i < 2 && this.slots.restingBytes < reserve; i++) this.evictFrom(sizeClass);
  }

  /** Evicts the next item of a class that the hand does not spare; false when the class has none. */
  private evictFrom(sizeClass: number): boolean {
    const { arena } = this.store;
    let oldest = -1;
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      const slot = this.nextItem(sizeClass);
      if (slot < 0) break;
      if (slot === this.store.pinned) continue;
      if (this.store.removeIfDead(slot)) return true;
      if (!arena.hasState(slot, STATE.referenced)) {
        this.evict(slot, sizeClass, false);
        return true;
      }
      this.store.mark(slot, 0, STATE.referenced);
      if (oldest < 0 || arena.accessed(slot) < arena.accessed(oldest)) oldest = slot;
    }
    if (oldest < 0) return false;
    this.evict(oldest, sizeClass, true);
    return true;
  }

  private evict(slot: number, sizeClass: number, isActive: boolean): void {
    const { arena } = this.store;
    const counts = this.counts.get(sizeClass) ?? noCounts();
    this.counts.set(sizeClass, counts);
    counts.evicted++;
    counts.evictedTime = Math.max(0, this.nowSeconds() - arena.accessed(slot));
    if (arena.exptime(slot) !== 0) counts.evictedNonzero++;
    if (!arena.hasState(slot, STATE.fetched)) counts.evictedUnfetched++;
    if (isActive) counts.evictedActive++;
    this.store.remove(slot);
  }

  /** Moves the class's hand to its next item and returns that, or -1. */
  private nextItem(sizeClass: number): number {
    const { pageBytes } = this.store.arena;
    const hand = this.hands.get(sizeClass) ?? 0;
    const first = this.slots.nextPage(sizeClass, Math.floor(hand / pageBytes));
    // The first page is looked at behind the hand, and once more from its start when the hand has gone round.
    for (let page = first, from = hand, visits = 0; page >= 0; from = 0) {
      if (page === first && ++visits > 2) return -1;
      const slot = this.nextItemIn(page, from);
      if (slot >= 0) {
        this.hands.set(sizeClass, slot + 1);
        return slot;
      }
      page = this.slots.nextPage(sizeClass, page + 1);
    }
    return -1;
  }

  private nextItemIn(page: number, offset: number): number {
    let slot = this.slots.nextUsedIn(page, offset);
    while (slot >= 0 && !this.store.holdsItem(slot)) slot = this.slots.nextUsedIn(page, slot + 1);
    return slot;
  }

  /** After a page's worth of evictions: evicts a page of another class if its items were used longer ago than what this class would lose. */
  private rebalance(sizeClass: number): boolean {
    const evictions = (this.sinceRebalance.get(sizeClass) ?? 0) + 1;
    const isDue = evictions >= this.slots.slotsPerPage(sizeClass);
    this.sinceRebalance.set(sizeClass, isDue ? 0 : evictions);
    if (!isDue) return false;
    const candidate = this.nextItem(sizeClass);
    return candidate >= 0 && this.evictPage(sizeClass, this.store.arena.accessed(candidate));
  }

  /** Evicts the least recently used of a sample of other classes' pages if it was last used before `seconds`, or must go. */
  private evictPage(sizeClass: number, seconds: number, must = false): boolean {
    let victim = -1;
    let oldest = seconds;
    for (let i = 0; i < SAMPLE_PAGES; i++) {
      const page = this.slots.nextPageInUse(this.samplePage);
      if (page < 0) break;
      this.samplePage = page + 1;
      if (this.slots.classOfPage(page) === sizeClass) continue;
      const used = this.lastUse(page);
      if (used < oldest || (must && victim < 0)) [victim, oldest] = [page, used];
    }
    if (victim < 0) return false;
    const victimClass = this.slots.classOfPage(victim);
    this.slots.close(victim);
    for (let slot = this.nextItemIn(victim, 0); slot >= 0; slot = this.nextItemIn(victim, slot + 1)) {
      if (slot !== this.store.pinned) this.evict(slot, victimClass, false);
    }
    return true;
  }

  /**
   * When a page's items were last used, in seconds since 1970, by a sample of them; Infinity when one was read since the page
   * was looked at last, which spares it once.
   */
  private lastUse(page: number): number {
    const { arena } = this.store;
    let last = 0;
    let looks = 0;
    for (let slot = this.slots.nextUsedIn(page, 0); slot >= 0; slot = this.slots.nextUsedIn(page, slot + 1)) {
      if (!this.store.holdsItem(slot)) continue;
      const isSpared = arena.hasState(slot, STATE.referenced);
      if (isSpared) this.store.mark(slot, 0, STATE.referenced);
      last = Math.max(last, isSpared ? Number.POSITIVE_INFINITY : arena.accessed(slot));
      if (++looks === SAMPLE_SLOTS) break;
    }
    return last;
  }
}

function noCounts(): EvictionCounts {
  return { ...NO_EVICTIONS };
}
