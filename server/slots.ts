import { VolleyError } from '../src/errors.js';
import type { Flights } from './flights.js';
import { ITEM_UNIT_BYTES } from './item.js';
import { Quarantine } from './quarantine.js';
import { classGrowth, sizeClasses } from './size-classes.js';
import { SlotPage } from './slot-page.js';

/** End of a list of pages. */
const NONE = -1;

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
  private readonly classBytes: number[];
  /** Size class by item size in units of 64 bytes. */
  private readonly classOfUnits: Uint8Array;
  private readonly pages: (SlotPage | undefined)[];
  private readonly pool: number[];
  /** Per class a doubly linked list of the pages that have free slots. */
  private readonly heads: Int32Array;
  private readonly next: Int32Array;
  private readonly previous: Int32Array;
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
    const sizeClass = this.classOfUnits[Math.ceil(bytes / ITEM_UNIT_BYTES)]!;
    if (this.heads[sizeClass] === NONE && this.pool.length === 0) this.release();
    if (this.heads[sizeClass] === NONE && this.pool.length > 0) this.cut(this.pool.pop()!, sizeClass);
    for (let serving = sizeClass; serving < this.classBytes.length; serving++) {
      const page = this.heads[serving]!;
      if (page === NONE) continue;
      const map = this.pages[page]!;
      const slot = map.take();
      if (map.free === 0) this.delist(serving, page);
      return page * this.options.pageBytes + slot * this.classBytes[serving]!;
    }
    return -1;
  }

  private cut(page: number, sizeClass: number): void {
    const slots = Math.floor(this.options.pageBytes / this.classBytes[sizeClass]!);
    this.pages[page] = new SlotPage(sizeClass, slots);
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
    if (map.free > 0) this.enlist(sizeClass, page);
  }

  /** Makes a slot free at once: nobody was ever told of it. */
  give(offset: number): void {
    const page = this.pageOf(offset);
    const map = this.pages[page]!;
    const { sizeClass } = map;
    map.give((offset - page * this.options.pageBytes) / this.classBytes[sizeClass]!);
    if (map.free === 1) this.enlist(sizeClass, page);
    if (map.free === map.slots) {
      this.delist(sizeClass, page);
      this.pages[page] = undefined;
      this.options.onPage?.(page, 0);
      this.pool.push(page);
    }
  }

  /** Frees a slot whose item readers may still be reading: it rests first. */
  retire(offset: number): void {
    this.restingBytes += this.slotBytes(offset);
    this.quarantine.add(offset, this.options.nowMs());
  }

  /** Frees what has rested enough. */
  release(): void {
    this.quarantine.release(this.options.nowMs(), (offset) => {
      this.restingBytes -= this.slotBytes(offset);
      this.give(offset);
    });
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

  private pageOf(offset: number): number {
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
