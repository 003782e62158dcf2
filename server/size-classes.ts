import { ITEM_UNIT_BYTES } from './item.js';

/** The smallest item: 64 bytes of header, text to the next multiple of 64, value, CR LF. */
export const SLOT_BYTES_MIN = 192;
/** Values of these many bytes, with a key of up to 45 bytes, fill their slots with the least waste. */
const CHUNK_BYTES = [4, 8, 16, 32, 64, 128, 256, 512, 1024].map((kib) => kib * 1024);
/** What header, text and CR LF take beside such a value, at most. */
const CHUNK_OVERHEAD_BYTES = 192;
/** Arenas of fewer pages have coarse classes: each class that is used takes a page at least. */
const FINE_PAGES_MIN = 256;
const FINE_GROWTH = 1.25;
const COARSE_GROWTH = 2;

/** By how much a size class is larger than the one before, at most. */
export function classGrowth(pageCount: number): number {
  return pageCount < FINE_PAGES_MIN ? COARSE_GROWTH : FINE_GROWTH;
}

function roundDown(bytes: number): number {
  return Math.floor(bytes / ITEM_UNIT_BYTES) * ITEM_UNIT_BYTES;
}

/** The largest slot of which a page holds as many as of slots of `bytes`. */
function fitted(bytes: number, pageBytes: number): number {
  const slots = Math.max(1, Math.floor(pageBytes / bytes));
  return roundDown(pageBytes / slots);
}

/**
 * The slot sizes of a node's arena, ascending, each a multiple of 64 and fitted to the page: growing from 192 bytes up,
 * with a class of its own for each chunk size that an image may have.
 */
export function sizeClasses(pageBytes: number, pageCount: number): number[] {
  const growth = classGrowth(pageCount);
  const chunkSlots = CHUNK_BYTES.map((bytes) => fitted(bytes + CHUNK_OVERHEAD_BYTES, pageBytes));
  const classes = [SLOT_BYTES_MIN];
  for (let slot = SLOT_BYTES_MIN; slot < pageBytes; ) {
    const grown = fitted(Math.ceil((slot * growth) / ITEM_UNIT_BYTES) * ITEM_UNIT_BYTES, pageBytes);
    const chunkSlot = chunkSlots.find((bytes) => bytes > slot) ?? pageBytes;
    slot = Math.min(grown, chunkSlot);
    classes.push(slot);
  }
  return classes;
}
