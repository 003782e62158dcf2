import type { Region } from '../src/native.js';
import { ITEM, TEXT_KEY_OFFSET } from './item.js';

/** Arena pages that one ArrayBuffer covers. */
const WINDOW_PAGES = 512;

/** One stretch of the arena as JavaScript sees it. */
interface Window {
  words: Uint32Array;
  bytes: Buffer;
}

/**
 * Reads and writes the arena by arena offset, through windows that are mapped when they are first needed. A slot lies
 * in one page, hence in one window.
 */
export class Arena {
  readonly pageBytes: number;
  readonly pageCount: number;
  private readonly windowBytes: number;
  private readonly windows: (Window | undefined)[];
  /** The window used last: arena offsets [low, high). */
  private low = 0;
  private high = 0;
  private words: Uint32Array = new Uint32Array(0);
  private window: Buffer = Buffer.alloc(0);

  constructor(private readonly region: Pick<Region, 'info' | 'window'>) {
    this.pageBytes = region.info.pageBytes;
    this.pageCount = Math.floor(region.info.arenaBytes / this.pageBytes);
    this.windowBytes = WINDOW_PAGES * this.pageBytes;
    this.windows = new Array(Math.ceil(this.pageCount / WINDOW_PAGES));
  }

  private select(offset: number): void {
    const index = Math.floor(offset / this.windowBytes);
    let window = this.windows[index];
    if (!window) {
      const first = index * WINDOW_PAGES;
      const memory = this.region.window(first, Math.min(WINDOW_PAGES, this.pageCount - first));
      window = { words: new Uint32Array(memory), bytes: Buffer.from(memory) };
      this.windows[index] = window;
    }
    this.words = window.words;
    this.window = window.bytes;
    this.low = index * this.windowBytes;
    this.high = this.low + window.bytes.length;
  }

  /** The u32 at an offset that is a multiple of 4. */
  u32(offset: number): number {
    if (offset < this.low || offset >= this.high) this.select(offset);
    return this.words[(offset - this.low) >>> 2]!;
  }

  setU32(offset: number, value: number): void {
    if (offset < this.low || offset >= this.high) this.select(offset);
    this.words[(offset - this.low) >>> 2] = value;
  }

  /** The bytes [start, end), not copied. */
  range(start: number, end: number): Buffer {
    if (start < this.low || start >= this.high) this.select(start);
    return this.window.subarray(start - this.low, end - this.low);
  }

  valueBytes(slot: number): number {
    return this.u32(slot + ITEM.valueBytes);
  }

  keyBytes(slot: number): number {
    return this.u32(slot + ITEM.keyAndTextBytes) & 0xffff;
  }

  /** Where the text of the item begins, as an arena offset. */
  textStart(slot: number): number {
    return this.valueStart(slot) - (this.u32(slot + ITEM.keyAndTextBytes) >>> 16);
  }

  valueStart(slot: number): number {
    return slot + this.u32(slot + ITEM.valueOffset);
  }

  /** The key, not copied. */
  key(slot: number): Buffer {
    const start = this.textStart(slot) + TEXT_KEY_OFFSET;
    return this.range(start, start + this.keyBytes(slot));
  }

  flags(slot: number): number {
    return this.u32(slot + ITEM.flags);
  }

  exptime(slot: number): number {
    return this.u32(slot + ITEM.exptime);
  }

  /** Seconds since 1970 of the last access. */
  accessed(slot: number): number {
    return this.u32(slot + ITEM.accessed);
  }

  /** Whether a bit of STATE is set. */
  hasState(slot: number, bit: number): boolean {
    return (this.u32(slot + ITEM.state) & bit) !== 0;
  }

  cas(slot: number): number {
    return this.u32(slot + ITEM.casHigh) * 2 ** 32 + this.u32(slot + ITEM.casLow);
  }

  /** Bytes of the slot that the item uses: header, text, value and CR LF. */
  itemBytes(slot: number): number {
    return this.u32(slot + ITEM.valueOffset) + this.valueBytes(slot) + 2;
  }
}
