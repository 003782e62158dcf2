import { VolleyError } from '../src/errors.js';
import type { Flights } from './flights.js';
import { ITEM_UNIT_BYTES } from './item.js';
import { Quarantine } from './quarantine.js';
import { classGrowth, sizeClasses } from './size-classes.js';
import { SlotPage } from './slot-page.js';

/** End of a list of pages. */
const NONE = -1;
/** Part of the arena that may rest, as a divisor, and how many slots. */
const RESTING_SHARE = 8;
const RESTING_MAX = 2 ** 20;
/** Slots that are let go at a time when too many rest. */
const EARLY_BATCH = 64;
/** Milliseconds that a page stays closed beyond the time that slots rest. */
const CLOSED_MS = 5000;
/** While pages can be emptied, an item gets a slot at most so many times its size. */
const WASTE_MAX = 2;

export interface SlotOptions {
  pageBytes: number;
  pageCount: number;
  /** Milliseconds that a freed slot rests before it is given out again. */
  quarantineMs: number;
  /** The writes that may still refer to freed slots. */
  flights: Flights;
  /** Milliseconds of a clock that never goes back. */
  nowMs: () => number;
  /** Told when a page is cut into slots of so many bytes, before any is given out, and with 0 when it is whole again. */
  onPage?: (page: number, slotBytes: number) => void;
  /** Told when a size class has no slot left, and there is no page to be cut for it. */
  onStarved?: () => void;
}

/** How a size class is used, in slots. */
export interface SizeClassUse {
  slotBytes: number;
  slotsPerPage: number;
  pages: number;
  /** Slots not free: they hold an item, are being filled, or rest. */
  usedSlots: number;
}

/**
 * Gives out slots of the arena. Each page is cut into slots of one size class when it is first needed, and goes back to
 * the common pool when all its slots are free again. Bookkeeping: one bit per slot, some 200 bytes per page, 8 bytes per
 * resting slot.
 */
export class Slots {
  /** Bytes of the slots in quarantine. */
  restingBytes = 0;
  /** While memory is wanted at most so many bytes rest, and never more slots than restingMax, but for what writes hold. */
  readonly restingBytesMax: number;
  readonly restingMax = RESTING_MAX;
  /** Whether the last store found no slot of its size class. */
  private isStarved = false;
  /** Slots that were let go before their time, for want of memory or because too many rested. */
  releasedEarly = 0;
  private readonly classBytes: number[];
  /** Size class by item size in units of 64 bytes. */
  private readonly classOfUnits: Uint8Array;
  private readonly pages: (SlotPage | undefined)[];
  private readonly pool: number[];
  /** Per class a doubly linked list of the pages that have free slots. */
  private readonly heads: Int32Array;
  private readonly next: Int32Array;
  private readonly previous: Int32Array;
  /** Per class the free slots of its open pages. */
  private readonly freeSlots: Int32Array;
  /** When pages were closed, in that order. */
  private readonly closed = new Map<number, number>();
  private readonly quarantine: Quarantine;

  constructor(private readonly options: SlotOptions) {
    const { pageBytes, pageCount } = options;
    this.classBytes = sizeClasses(pageBytes, pageCount);
    this.classOfUnits = new Uint8Array(pageBytes / ITEM_UNIT_BYTES + 1);
    for (let units = 0, sizeClass = 0; units < this.classOfUnits.length; units++) {
      while (this.classBytes[sizeClass]! < units * ITEM_UNIT_BYTES) sizeClass++;
      this.classOfUnits[units] = sizeClass;
    }
    this.pages = new Array(pageCount);
    this.pool = Array.from({ length: pageCount }, (_, i) => pageCount - 1 - i);
    this.heads = new Int32Array(this.classBytes.length).fill(NONE);
    this.next = new Int32Array(pageCount).fill(NONE);
    this.previous = new Int32Array(pageCount).fill(NONE);
    this.freeSlots = new Int32Array(this.classBytes.length);
    this.restingBytesMax = Math.max(pageBytes, Math.floor((pageBytes * pageCount) / RESTING_SHARE));
    this.quarantine = new Quarantine(options.flights, options.quarantineMs);
  }

  /** By how much a size class is larger than the one before, at most. */
  get growth(): number {
    return classGrowth(this.options.pageCount);
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
    if (this.heads[sizeClass] === NONE && this.pool.length === 0) this.releaseForUse();
    const slot = this.takeFor(sizeClass);
    this.isStarved = slot < 0;
    if (!this.isStarved) return slot;
    this.options.onStarved?.();
    const most = this.canEmptyPage ? WASTE_MAX * bytes : this.options.pageBytes;
    for (let serving = sizeClass + 1; serving < this.classBytes.length; serving++) {
      if (this.classBytes[serving]! > most) break;
      if (this.heads[serving] !== NONE) return this.takeIn(serving);
    }
    return -1;
  }

  /** Arena offset of a slot of the size class, for which a page may be cut; or -1. */
  takeFor(sizeClass: number): number {
    if (this.heads[sizeClass] === NONE && this.pool.length > 0) this.cut(this.pool.pop()!, sizeClass);
    return this.takeIn(sizeClass);
  }

  /** Arena offset of a slot of the size class, out of its open pages, or -1. */
  takeIn(sizeClass: number): number {
    const page = this.heads[sizeClass]!;
    if (page === NONE) return -1;
    const map = this.pages[page]!;
    const slot = map.take();
    this.freeSlots[sizeClass]!--;
    if (map.free === 0) this.delist(sizeClass, page);
    return page * this.options.pageBytes + slot * this.classBytes[sizeClass]!;
  }

  /** Pages that are not cut. */
  get freePages(): number {
    return this.pool.length;
  }

  /** Whether the items of some page would fit into other pages of its size class. */
  get canEmptyPage(): boolean {
    return this.freeSlots.some((free, sizeClass) => free >= this.slotsPerPage(sizeClass));
  }

  /** Of the pages whose items would fit into others of their class the one with the fewest, or -1. */
  sparsestPage(): number {
    let best = NONE;
    let fewest = Number.POSITIVE_INFINITY;
    for (let page = 0; page < this.pages.length; page++) {
      const map = this.pages[page];
      if (!map || map.isClosed) continue;
      if (this.freeSlots[map.sizeClass]! < map.slots) continue;
      const bytes = (map.slots - map.free) * this.classBytes[map.sizeClass]!;
      if (bytes < fewest) [best, fewest] = [page, bytes];
    }
    return best;
  }

  /** Whether pages are being emptied, or are about to be. */
  get isEmptying(): boolean {
    return (
      this.closed.size > 0 || (this.isStarved && this.options.onStarved !== undefined && this.canEmptyPage)
    );
  }

  /** Pages that are closed and not free yet. */
  get closedPages(): number {
    return this.closed.size;
  }

  /** Gives out no more slots of a page; it goes back to the pool when all of them are free, or is opened again soon. */
  close(page: number): void {
    const map = this.pages[page];
    if (!map || map.isClosed) return;
    map.isClosed = true;
    this.closed.set(page, this.options.nowMs());
    this.freeSlots[map.sizeClass]! -= map.free;
    if (map.free > 0) this.delist(map.sizeClass, page);
  }

  /** Gives out slots of a closed page again. */
  reopen(page: number): void {
    const map = this.pages[page];
    if (!map?.isClosed) return;
    map.isClosed = false;
    this.closed.delete(page);
    this.freeSlots[map.sizeClass]! += map.free;
    if (map.free > 0) this.enlist(map.sizeClass, page);
  }

  slotsPerPage(sizeClass: number): number {
    return Math.floor(this.options.pageBytes / this.classBytes[sizeClass]!);
  }

  private cut(page: number, sizeClass: number): void {
    const slots = this.slotsPerPage(sizeClass);
    this.pages[page] = new SlotPage(sizeClass, slots);
    this.freeSlots[sizeClass]! += slots;
    this.options.onPage?.(page, this.classBytes[sizeClass]!);
    this.enlist(sizeClass, page);
  }

  /**
   * Takes up pages that were cut earlier.
   * @param directory the slot bytes of each page, 0 = not cut
   * @param isUsed asked once about each slot, by its arena offset
   * @throws VolleyError ERR_VOLLEY_LAYOUT when there is no size class of such slots
   */
  restore(directory: Uint32Array, isUsed: (offset: number) => boolean): void {
    this.pool.length = 0;
    for (let page = directory.length - 1; page >= 0; page--) {
      const slotBytes = directory[page]!;
      if (slotBytes === 0) this.pool.push(page);
      else this.restorePage(page, slotBytes, isUsed);
    }
  }

  private restorePage(page: number, slotBytes: number, isUsed: (offset: number) => boolean): void {
    const sizeClass = this.classBytes.indexOf(slotBytes);
    if (sizeClass < 0) {
      const text = `the region's page ${page} has slots of ${slotBytes} bytes, which this version does not make`;
      throw new VolleyError(
        'ERR_VOLLEY_LAYOUT',
        `${text}; remove the region file and upload the images again`,
      );
    }
    const start = page * this.options.pageBytes;
    const map = new SlotPage(sizeClass, Math.floor(this.options.pageBytes / slotBytes));
    for (let slot = 0; slot < map.slots; slot++) {
      if (isUsed(start + slot * slotBytes)) map.takeAt(slot);
    }
    if (map.free === map.slots) {
      this.options.onPage?.(page, 0);
      this.pool.push(page);
      return;
    }
    this.pages[page] = map;
    this.freeSlots[sizeClass]! += map.free;
    if (map.free > 0) this.enlist(sizeClass, page);
  }

  /** Makes a slot free at once: nobody was ever told of it. */
  give(offset: number): void {
    const page = this.pageOf(offset);
    const map = this.pages[page]!;
    const { sizeClass } = map;
    map.give((offset - page * this.options.pageBytes) / this.classBytes[sizeClass]!);
    if (!map.isClosed) {
      this.freeSlots[sizeClass]!++;
      if (map.free === 1) this.enlist(sizeClass, page);
    }
    if (map.free === map.slots) {
      this.close(page);
      this.closed.delete(page);
      this.pages[page] = undefined;
      this.options.onPage?.(page, 0);
      this.pool.push(page);
    }
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

  /** Index of the size class that serves items of so many bytes. */
  classFor(bytes: number): number {
    return this.classOfUnits[Math.ceil(bytes / ITEM_UNIT_BYTES)]!;
  }

  /** The first slot in use of a page at or behind `offset` in the arena, or -1. */
  nextUsedIn(page: number, offset: number): number {
    const slot = this.nextUsed(Math.max(offset, page * this.options.pageBytes));
    return slot >= 0 && this.pageOf(slot) === page ? slot : -1;
  }

  /** The first open page at or behind `page` that is cut for the size class, wrapping round; or -1. */
  nextPage(sizeClass: number, page: number): number {
    const count = this.pages.length;
    for (let i = 0; i < count; i++) {
      const at = (page + i) % count;
      const map = this.pages[at];
      if (map?.sizeClass === sizeClass && !map.isClosed) return at;
    }
    return NONE;
  }

  /** The first open page at or behind `page`, wrapping round, that is cut at all; or -1. */
  nextPageInUse(page: number): number {
    const count = this.pages.length;
    for (let i = 0; i < count; i++) {
      const at = (page + i) % count;
      if (this.classOfPage(at) >= 0) return at;
    }
    return NONE;
  }

  /** Index of the size class that a page is cut for and takes part in, or -1. */
  classOfPage(page: number): number {
    const map = this.pages[page];
    return map && !map.isClosed ? map.sizeClass : NONE;
  }

  /** Size class of the slot at `offset`, counted from 1 as memcached does. */
  classId(offset: number): number {
    return this.pages[this.pageOf(offset)]!.sizeClass + 1;
  }

  /** The first slot in use at or behind `offset`, or -1. */
  nextUsed(offset: number): number {
    const { pageBytes } = this.options;
    for (let page = this.pageOf(offset), from = offset; page < this.pages.length; from = ++page * pageBytes) {
      const map = this.pages[page];
      if (!map) continue;
      const slotBytes = this.classBytes[map.sizeClass]!;
      for (let slot = Math.ceil((from - page * pageBytes) / slotBytes); slot < map.slots; slot++) {
        if (!map.isFree(slot)) return page * pageBytes + slot * slotBytes;
      }
    }
    return -1;
  }

  /** How each size class is used; index i is class i + 1. */
  use(): SizeClassUse[] {
    const use = this.classBytes.map((slotBytes) => ({
      slotBytes,
      slotsPerPage: Math.floor(this.options.pageBytes / slotBytes),
      pages: 0,
      usedSlots: 0,
    }));
    for (const map of this.pages) {
      if (!map) continue;
      use[map.sizeClass]!.pages++;
      use[map.sizeClass]!.usedSlots += map.slots - map.free;
    }
    return use;
  }

  pageOf(offset: number): number {
    return Math.floor(offset / this.options.pageBytes);
  }

  private slotBytes(offset: number): number {
    return this.classBytes[this.pages[this.pageOf(offset)]!.sizeClass]!;
  }

  private enlist(sizeClass: number, page: number): void {
    const head = this.heads[sizeClass]!;
    this.next[page] = head;
    this.previous[page] = NONE;
    if (head !== NONE) this.previous[head] = page;
    this.heads[sizeClass] = page;
  }

  private delist(sizeClass: number, page: number): void {
    const before = this.previous[page]!;
    const behind = this.next[page]!;
    if (before === NONE) this.heads[sizeClass] = behind;
    else this.next[before] = behind;
    if (behind !== NONE) this.previous[behind] = before;
  }
}
