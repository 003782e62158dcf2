import { VolleyError } from '../src/errors.js';
import { ITEM_UNIT_BYTES } from './item.js';
import { classGrowth, sizeClasses } from './size-classes.js';
import { SlotPage } from './slot-page.js';

/** No page, and the end of a list of pages. */
const NONE = -1;

export interface PageLayout {
  pageBytes: number;
  pageCount: number;
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
 * The pages of the arena. Each is cut into slots of one size class when it is first needed, and goes back to the common pool
 * when all its slots are free again. A page can be closed, to be emptied. Bookkeeping: one bit per slot, some 200 bytes per
 * page.
 */
export class ArenaPages {
  protected readonly classBytes: number[];
  /** When pages were closed, in that order. */
  protected readonly closed = new Map<number, number>();
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

  constructor(private readonly layout: PageLayout) {
    const { pageBytes, pageCount } = layout;
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
  }

  /** By how much a size class is larger than the one before, at most. */
  get growth(): number {
    return classGrowth(this.layout.pageCount);
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
    return page * this.layout.pageBytes + slot * this.classBytes[sizeClass]!;
  }

  /** Whether the size class has a free slot, or a page can be cut for it. */
  protected hasRoom(sizeClass: number): boolean {
    return this.heads[sizeClass] !== NONE || this.pool.length > 0;
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

  /** Pages that are closed and not free yet. */
  get closedPages(): number {
    return this.closed.size;
  }

  /** Gives out no more slots of a page; it goes back to the pool when all of them are free, or is opened again soon. */
  close(page: number): void {
    const map = this.pages[page];
    if (!map || map.isClosed) return;
    map.isClosed = true;
    this.closed.set(page, this.layout.nowMs());
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
    return Math.floor(this.layout.pageBytes / this.classBytes[sizeClass]!);
  }

  private cut(page: number, sizeClass: number): void {
    const slots = this.slotsPerPage(sizeClass);
    this.pages[page] = new SlotPage(sizeClass, slots);
    this.freeSlots[sizeClass]! += slots;
    this.layout.onPage?.(page, this.classBytes[sizeClass]!);
    this.enlist(sizeClass, page);
  }

  /**
   * Takes up pages that were cut earlier.
   * @param directory the slot bytes of each page, 0 = not cut
   * @param isUsed asked once about each slot, by its arena offset
   * @throws VolleyError ERR_VOLLEY_LAYOUT when there is no size class of slots that are used
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
    const start = page * this.layout.pageBytes;
    const slots = Math.floor(this.layout.pageBytes / slotBytes);
    const used: number[] = [];
    for (let slot = 0; slot < slots; slot++) if (isUsed(start + slot * slotBytes)) used.push(slot);
    if (used.length === 0) {
      this.layout.onPage?.(page, 0);
      this.pool.push(page);
      return;
    }
    const sizeClass = this.classBytes.indexOf(slotBytes);
    if (sizeClass < 0) {
      const text = `page ${page} of the region file has slots of ${slotBytes} bytes, which this version does not make`;
      throw new VolleyError(
        'ERR_VOLLEY_LAYOUT',
        `${text}; remove the region file and upload the images again`,
      );
    }
    const map = new SlotPage(sizeClass, slots);
    for (const slot of used) map.takeAt(slot);
    this.pages[page] = map;
    this.freeSlots[sizeClass]! += map.free;
    if (map.free > 0) this.enlist(sizeClass, page);
  }

  /** Makes a slot free at once: nobody was ever told of it. */
  give(offset: number): void {
    const page = this.pageOf(offset);
    const map = this.pages[page]!;
    const { sizeClass } = map;
    map.give((offset - page * this.layout.pageBytes) / this.classBytes[sizeClass]!);
    if (!map.isClosed) {
      this.freeSlots[sizeClass]!++;
      if (map.free === 1) this.enlist(sizeClass, page);
    }
    if (map.free === map.slots) {
      this.close(page);
      this.closed.delete(page);
      this.pages[page] = undefined;
      this.layout.onPage?.(page, 0);
      this.pool.push(page);
    }
  }

  /** Index of the size class that serves items of so many bytes. */
  classFor(bytes: number): number {
    return this.classOfUnits[Math.ceil(bytes / ITEM_UNIT_BYTES)]!;
  }

  /** The first slot in use of a page at or behind `offset` in the arena, or -1. */
  nextUsedIn(page: number, offset: number): number {
    const map = this.pages[page];
    if (!map) return NONE;
    const start = page * this.layout.pageBytes;
    const slotBytes = this.classBytes[map.sizeClass]!;
    for (let slot = Math.max(0, Math.ceil((offset - start) / slotBytes)); slot < map.slots; slot++) {
      if (!map.isFree(slot)) return start + slot * slotBytes;
    }
    return NONE;
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
    for (let page = this.pageOf(offset); page < this.pages.length; page++) {
      const slot = this.nextUsedIn(page, offset);
      if (slot >= 0) return slot;
    }
    return NONE;
  }

  /** How each size class is used; index i is class i + 1. */
  use(): SizeClassUse[] {
    const use = this.classBytes.map((slotBytes) => ({
      slotBytes,
      slotsPerPage: Math.floor(this.layout.pageBytes / slotBytes),
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
    return Math.floor(offset / this.layout.pageBytes);
  }

  protected slotBytes(offset: number): number {
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
