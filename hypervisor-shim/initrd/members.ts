import type { BoundedBytes } from './bounded-bytes.js';
import type { InitrdFormat } from './formats.js';

/**
 * Where the packed member that begins at `offset` ends, as far as its format lets that be seen without unpacking it; else
 * where the next one of its kind begins; undefined when neither shows.
 */
export async function endOfMember(
  bytes: BoundedBytes,
  offset: number,
  format: InitrdFormat,
): Promise<number | undefined> {
  if (format === 'zstd') return endOfZstdFrame(bytes, offset);
  if (format === 'zstd-skippable') return offset + 8 + (await u32(bytes, offset + 4));
  if (format === 'lz4-legacy') return endOfLz4Legacy(bytes, offset);
  if (format === 'xz') return endOfXzStream(bytes, offset);
  if (format === 'gzip') return nextGzipMember(bytes, offset + 10);
  if (format === 'bzip2') return nextBzip2Stream(bytes, offset + 10);
  return undefined;
}

/** The memory that a zstd frame wants to be unpacked with, in bytes (RFC 8878, 3.1.1.1). */
export function zstdWindowBytes(head: Buffer): number {
  const descriptor = head.readUInt8(4);
  const { isSingleSegment, sizeOffset, sizeBytes } = zstdHeader(descriptor);
  if (!isSingleSegment) {
    const window = head.readUInt8(5);
    const base = 2 ** (10 + (window >> 3));
    return base + (base / 8) * (window & 7);
  }
  if (sizeBytes === 8) return Number(head.readBigUInt64LE(sizeOffset));
  return head.readUIntLE(sizeOffset, sizeBytes) + (sizeBytes === 2 ? 256 : 0);
}

function zstdHeader(descriptor: number) {
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!;
  const sizeOffset = 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes;
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  return { isSingleSegment, sizeOffset, sizeBytes, hasChecksum: (descriptor & 4) !== 0 };
}

async function endOfZstdFrame(bytes: BoundedBytes, offset: number): Promise<number | undefined> {
  const descriptor = (await bytes.read(offset + 4, 1))[0];
  if (descriptor === undefined) return undefined;
  const { sizeOffset, sizeBytes, hasChecksum } = zstdHeader(descriptor);
  for (let at = offset + sizeOffset + sizeBytes; ; ) {
    const head = await bytes.read(at, 3);
    if (head.length < 3) return undefined;
    const block = head.readUIntLE(0, 3);
    const isRepeated = ((block >> 1) & 3) === 1;
    at += 3 + (isRepeated ? 1 : block >> 3);
    if (block & 1) return hasChecksum ? at + 4 : at;
  }
}

/** Blocks behind each other, each with its length; several files may follow each other, as Linux takes them. */
async function endOfLz4Legacy(bytes: BoundedBytes, offset: number): Promise<number | undefined> {
  const magic = 0x184c2102;
  const blockBytesMax = 0x00820000;
  for (let at = offset; at + 4 <= bytes.length; ) {
    const length = await u32(bytes, at);
    if (length === magic) at += 4;
    else if (length === 0 || length > blockBytesMax) return at;
    else at += 4 + length;
  }
  return bytes.isComplete ? bytes.length : undefined;
}

/** From the end back: each stream ends with an index of its blocks and a footer that tells the index's length. */
async function endOfXzStream(bytes: BoundedBytes, offset: number): Promise<number | undefined> {
  if (!bytes.isComplete) return undefined;
  for (let end = bytes.length; end > offset; ) {
    const footer = await bytes.read(end - 12, 12);
    if (footer.length < 12) return undefined;
    if (footer.readUInt32LE(8) === 0) {
      end -= 4; // padding
      continue;
    }
    if (footer.toString('latin1', 10) !== 'YZ') return undefined;
    const indexBytes = (footer.readUInt32LE(4) + 1) * 4;
    const indexAt = end - 12 - indexBytes;
    if (indexAt < offset || indexBytes > 16 << 20) return undefined;
    const blocks = xzBlockBytes(await bytes.read(indexAt, indexBytes));
    if (blocks === undefined) return undefined;
    const start = indexAt - blocks - 12;
    if (start === offset) return end;
    end = start;
  }
  return undefined;
}

/** The sum of the blocks' lengths that an index tells, padding included. */
function xzBlockBytes(index: Buffer): number | undefined {
  let at = 1;
  const number = () => {
    let value = 0;
    for (let shift = 0; shift < 63; shift += 7) {
      const byte = index[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  let sum = 0;
  for (let left = number(); left > 0; left--) {
    if (at >= index.length) return undefined;
    sum += Math.ceil(number() / 4) * 4;
    number(); // unpacked length
  }
  return sum;
}

async function nextGzipMember(bytes: BoundedBytes, from: number): Promise<number | undefined> {
  const magic = Buffer.from('1f8b08', 'hex');
  for (let at = from; ; at++) {
    const found = await bytes.find(magic, at);
    if (found === undefined) return undefined;
    const [, , , flags = 0xff, , , , , extra = 0xff, system = 0x7f] = await bytes.read(found, 10);
    if ((flags & 0xe2) === 0 && [0, 2, 4].includes(extra) && (system <= 13 || system === 255)) return found;
    at = found;
  }
}

function nextBzip2Stream(bytes: BoundedBytes, from: number): Promise<number | undefined> {
  // BZh9, then the first block's mark; the level before it may be another.
  const mark = Buffer.from('314159265359', 'hex');
  const next = async (at: number): Promise<number | undefined> => {
    const found = await bytes.find(mark, at);
    if (found === undefined) return undefined;
    const head = await bytes.read(found - 4, 4);
    return head.toString('latin1', 0, 3) === 'BZh' ? found - 4 : next(found + 1);
  };
  return next(from);
}

async function u32(bytes: BoundedBytes, offset: number): Promise<number> {
  const read = await bytes.read(offset, 4);
  return read.length === 4 ? read.readUInt32LE() : 0;
}
