/** Offsets in a slot's header; docs/protocol.md, "Arena and slots". */
export const ITEM = {
  magic: 0,
  valueBytes: 4,
  casLow: 8,
  casHigh: 12,
  flags: 24,
  exptime: 28,
  /** u16 key length, then u16 text length. */
  keyAndTextBytes: 32,
  valueOffset: 36,
  accessed: 40,
  /** Bits of STATE. */
  state: 44,
  /** Start of the node (LEDGER.start) that stored the item or has found it intact since. */
  seen: 56,
} as const;

/** What the meta protocol keeps of an item. */
export const STATE = {
  /** Invalidated; the value is still given out, marked so. */
  stale: 1,
  /** Some client was told to recache the item. */
  tokenSent: 2,
  /** Read since it was stored. */
  fetched: 4,
  /** The key came as base64. */
  binaryKey: 8,
  /** Read since the hand of the eviction went over it. */
  referenced: 16,
  /** The exptime is a date, by the wall clock; else it goes by the node's time. */
  wallExptime: 32,
} as const;

export const ITEM_MAGIC = 0x4d455449;
export const ITEM_HEADER_BYTES = 64;
export const ITEM_UNIT_BYTES = 64;
const TEXT_BEGIN = 'VALUE ';
/** Where the key stands in the text. */
export const TEXT_KEY_OFFSET = TEXT_BEGIN.length;

/** Bytes of the text `VALUE <key> <flags> <length>\r\n`. */
export function textBytesOf(keyBytes: number, flags: number, valueBytes: number): number {
  return TEXT_KEY_OFFSET + keyBytes + 1 + decimalDigits(flags) + 1 + decimalDigits(valueBytes) + 2;
}

/** Where the value begins in a slot whose text is so long. */
export function valueOffsetOf(textBytes: number): number {
  return Math.ceil((ITEM_HEADER_BYTES + textBytes) / ITEM_UNIT_BYTES) * ITEM_UNIT_BYTES;
}

export function decimalDigits(value: number): number {
  let digits = 1;
  for (let limit = 10; value >= limit; limit *= 10) digits++;
  return digits;
}

/** Writes `value`, a whole number, in decimal so that it ends before `end`; returns where it begins. */
export function writeDecimal(bytes: Uint8Array, end: number, value: number): number {
  let at = end;
  let rest = value;
  do {
    const tenth = Math.floor(rest / 10);
    bytes[--at] = 0x30 + rest - tenth * 10;
    rest = tenth;
  } while (rest > 0);
  return at;
}

/** Writes the text `VALUE <key> <flags> <length>\r\n` into `item` so that it ends where the value begins. */
export function writeText(
  item: Uint8Array,
  valueOffset: number,
  key: Uint8Array,
  start: number,
  end: number,
  flags: number,
  valueBytes: number,
): void {
  let at = valueOffset;
  item[--at] = 0x0a;
  item[--at] = 0x0d;
  at = writeDecimal(item, at, valueBytes);
  item[--at] = 0x20;
  at = writeDecimal(item, at, flags);
  item[--at] = 0x20;
  for (let i = end - 1; i >= start; i--) item[--at] = key[i]!;
  at -= TEXT_KEY_OFFSET;
  for (let i = 0; i < TEXT_KEY_OFFSET; i++) item[at + i] = TEXT_BEGIN.charCodeAt(i);
}
