import { chunkKey, partitionOfDigest } from '../../src/keys.js';
import { RECORD_BYTES } from '../../src/manifest.js';

/** The records of an upload's items, in order: the image's chunks, then the pieces of the manifest's body. Grows. */
export class RecordList {
  #bytes = Buffer.alloc(1024 * RECORD_BYTES);

  /** Puts records at `index` and after. */
  put(index: number, records: Buffer): void {
    const end = index * RECORD_BYTES + records.length;
    if (end > this.#bytes.length) {
      const wider = Buffer.alloc(Math.max(end, this.#bytes.length * 2));
      this.#bytes.copy(wider);
      this.#bytes = wider;
    }
    records.copy(this.#bytes, index * RECORD_BYTES);
  }

  key(index: number): string {
    return chunkKey(this.#bytes, index * RECORD_BYTES);
  }

  partition(index: number): number {
    return partitionOfDigest(this.#bytes, index * RECORD_BYTES);
  }

  record(index: number): Buffer {
    return this.#bytes.subarray(index * RECORD_BYTES, (index + 1) * RECORD_BYTES);
  }

  /** The records [0, count), without copying. */
  first(count: number): Buffer {
    return this.#bytes.subarray(0, count * RECORD_BYTES);
  }
}
