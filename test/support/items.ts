import { createHash } from 'node:crypto';
import xxhash from 'xxhash-addon';
import type { Region } from '../../src/native.js';

export const CHUNK_KEY_PREFIX = 'volley:c:';
const SLOT_HEADER_BYTES = 64;
const UNIT = 64;

export interface Placed {
  slot: number;
  valueAt: number;
}

/** Writes an item into the slot at an arena offset, as docs/protocol.md lays it out, without linking it. */
export function placeItem(arena: Buffer, slot: number, key: string, value: Uint8Array): Placed {
  const text = `VALUE ${key} 0 ${value.length}\r\n`;
  const valueOffset = Math.ceil((SLOT_HEADER_BYTES + text.length) / UNIT) * UNIT;
  arena.fill(0, slot, slot + SLOT_HEADER_BYTES);
  arena.writeUInt32LE(0x4d455449, slot);
  arena.writeUInt32LE(value.length, slot + 4);
  arena.writeUInt16LE(key.length, slot + 32);
  arena.writeUInt16LE(text.length, slot + 34);
  arena.writeUInt32LE(valueOffset, slot + 36);
  arena.write(text, slot + valueOffset - text.length, 'latin1');
  arena.set(value, slot + valueOffset);
  arena.write('\r\n', slot + valueOffset + value.length, 'latin1');
  return { slot, valueAt: slot + valueOffset };
}

export function wholeArena(region: Region): Buffer {
  return Buffer.from(region.window(0, region.info.arenaBytes / region.info.pageBytes));
}

/** One chunk's record in a manifest: 128 bits of SHA-256, then XXH3. */
export function recordOf(chunk: Uint8Array): Buffer {
  const digest = createHash('sha256').update(chunk).digest().subarray(0, 16);
  return Buffer.concat([digest, Buffer.from(xxhash.XXHash3.hash(Buffer.from(chunk))).reverse()]);
}

export function chunkKey(record: Buffer): string {
  return CHUNK_KEY_PREFIX + record.subarray(0, 16).toString('hex');
}
