import { DigestSet } from '../../src/digest-set.js';
import { isZeroRecord, RECORD_BYTES } from '../../src/manifest.js';
import { SOURCE_ZERO } from '../../src/native.js';
import type { PartitionMap } from '../../src/ring.js';

const RECORD_WORDS = RECORD_BYTES / 4;

/** Per chunk the node to read it from, or SOURCE_ZERO. Records are read as words: this loop is a load's only own work. */
export function sourcesOf(records: Uint8Array, placement: PartitionMap): Uint16Array {
  const words = wordsOf(records);
  const sources = new Uint16Array(words.length / RECORD_WORDS);
  for (let chunk = 0, at = 0; chunk < sources.length; chunk++, at += RECORD_WORDS) {
    const first = words[at]!;
    const isZero =
      (first | words[at + 1]! | words[at + 2]! | words[at + 3]! | words[at + 4]! | words[at + 5]!) === 0;
    sources[chunk] = isZero ? SOURCE_ZERO : placement.node(first & 0xffff);
  }
  return sources;
}

/** How many chunks, other than zeros, have content that appears more than once. */
export function countShared(records: Uint8Array): number {
  const contents = new DigestSet();
  const repeated = new Set<number>();
  let shared = 0;
  for (let offset = 0; offset < records.length; offset += RECORD_BYTES) {
    if (isZeroRecord(records, offset)) continue;
    const before = contents.size;
    const ordinal = contents.add(records, offset);
    if (ordinal === before) continue;
    shared += repeated.has(ordinal) ? 1 : 2;
    repeated.add(ordinal);
  }
  return shared;
}

/** The records as little-endian words (all hosts that Volley runs on are little-endian). */
function wordsOf(records: Uint8Array): Uint32Array {
  const aligned = records.byteOffset % 4 === 0 ? records : Uint8Array.from(records);
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
}
