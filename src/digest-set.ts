import { randomBytes } from 'node:crypto';

const WORDS = 4;
const EMPTY = -1;

/**
 * A set of 128-bit digests in flat arrays (some 40 bytes per digest; a Set of texts takes thrice that). Every digest
 * has an ordinal: 0 for the first that was added, and so on. The hash is seeded, so that digests made up by a hostile
 * manifest cannot pile up in one place.
 */
export class DigestSet {
  #digests = new Uint32Array(64 * WORDS);
  #slots = new Int32Array(128).fill(EMPTY);
  #size = 0;
  readonly #seed = randomBytes(4).readUInt32LE();
  readonly #probe = new Uint32Array(WORDS);
  readonly #probeBytes = new Uint8Array(this.#probe.buffer);

  get size(): number {
    return this.#size;
  }

  /** Adds the 16 bytes at `offset`. Returns their ordinal; it was new when that equals the size before. */
  add(bytes: Uint8Array, offset = 0): number {
    this.#load(bytes, offset);
    const slot = this.#locate();
    const found = this.#slots[slot]!;
    if (found !== EMPTY) return found;
    const ordinal = this.#size++;
    this.#slots[slot] = ordinal;
    if (this.#size * WORDS > this.#digests.length) this.#digests = widened(this.#digests);
    this.#digests.set(this.#probe, ordinal * WORDS);
    if (this.#size * 2 > this.#slots.length) this.#rehash();
    return ordinal;
  }

  /** The ordinal of the 16 bytes at `offset`, or -1. */
  find(bytes: Uint8Array, offset = 0): number {
    this.#load(bytes, offset);
    return this.#slots[this.#locate()]!;
  }

  /** The digest of that ordinal. */
  digest(ordinal: number): Buffer {
    const start = this.#digests.byteOffset + ordinal * WORDS * 4;
    return Buffer.from(this.#digests.buffer, start, WORDS * 4);
  }

  #load(bytes: Uint8Array, offset: number): void {
    for (let i = 0; i < WORDS * 4; i++) this.#probeBytes[i] = bytes[offset + i]!;
  }

  /** The slot that holds the probe, or the empty one where it belongs. */
  #locate(): number {
    const probe = this.#probe;
    const digests = this.#digests;
    const mask = this.#slots.length - 1;
    let mixed = Math.imul(probe[0]! ^ this.#seed, 0x9e3779b1);
    for (let i = 1; i < WORDS; i++) mixed = Math.imul((mixed ^ (mixed >>> 15)) + probe[i]!, 0x85ebca77);
    for (let slot = (mixed ^ (mixed >>> 13)) & mask; ; slot = (slot + 1) & mask) {
      const ordinal = this.#slots[slot]!;
      if (ordinal === EMPTY) return slot;
      const at = ordinal * WORDS;
      if (
        digests[at] === probe[0] &&
        digests[at + 1] === probe[1] &&
        digests[at + 2] === probe[2] &&
        digests[at + 3] === probe[3]
      ) {
        return slot;
      }
    }
  }

  #rehash(): void {
    this.#slots = new Int32Array(this.#slots.length * 2).fill(EMPTY);
    for (let ordinal = 0; ordinal < this.#size; ordinal++) {
      this.#probe.set(this.#digests.subarray(ordinal * WORDS, (ordinal + 1) * WORDS));
      this.#slots[this.#locate()] = ordinal;
    }
  }
}

function widened(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const wider = new Uint32Array(array.length * 2);
  wider.set(array);
  return wider;
}
