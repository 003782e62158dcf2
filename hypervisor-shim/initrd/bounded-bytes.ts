import type { FileHandle } from 'node:fs/promises';

/** Thrown when more would be read than an inspection may. */
export class BudgetSpent extends Error {}

const WINDOW_BYTES = 64 * 1024;
/** What one inspection may read: all of most initrds, and of others enough to see how they begin. */
const READ_BYTES_MAX = 512 << 20;
const READS_MAX = 20_000;
/** How often it may ask, of which most are answered from the window. */
const CALLS_MAX = 500_000;
const ZEROS = Buffer.alloc(WINDOW_BYTES);

/** Random access to the bytes of a file, or to the first bytes of a stream, that ends after so many reads. */
export class BoundedBytes {
  readonly #file: FileHandle | null;
  #window: Buffer;
  #windowAt = 0;
  #readBytes = 0;
  #reads = 0;
  #calls = 0;

  private constructor(
    file: FileHandle | null,
    window: Buffer,
    /** How many bytes there are. */
    readonly length: number,
    /** Whether these are all the bytes; else the rest is not known. */
    readonly isComplete: boolean,
  ) {
    this.#file = file;
    this.#window = window;
  }

  static ofFile(file: FileHandle, length: number): BoundedBytes {
    return new BoundedBytes(file, Buffer.alloc(0), length, true);
  }

  static ofPrefix(bytes: Buffer, isComplete: boolean): BoundedBytes {
    return new BoundedBytes(null, bytes, bytes.length, isComplete);
  }

  /** The bytes [offset, offset + length), fewer at the end. @throws BudgetSpent */
  async read(offset: number, length: number): Promise<Buffer> {
    if (++this.#calls > CALLS_MAX) throw new BudgetSpent();
    const bytes = Math.max(0, Math.min(length, this.length - offset));
    const at = offset - this.#windowAt;
    if (this.#file && (at < 0 || at + bytes > this.#window.length)) {
      await this.#fill(this.#file, offset, bytes);
      return this.#window.subarray(0, bytes);
    }
    return this.#window.subarray(at, at + bytes);
  }

  /** Where a pattern comes first from `offset` on, as far as it can be seen. @throws BudgetSpent */
  async find(pattern: Buffer, offset: number): Promise<number | undefined> {
    const step = 16 * WINDOW_BYTES;
    for (let at = offset; at < this.length; at += step) {
      const found = (await this.read(at, step + pattern.length - 1)).indexOf(pattern);
      if (found >= 0) return at + found;
    }
    return undefined;
  }

  /** The first byte from `offset` on that is not zero, or `end`. @throws BudgetSpent */
  async skipZeros(offset: number, end: number): Promise<number> {
    for (let at = offset; at < end; ) {
      const bytes = await this.read(at, Math.min(WINDOW_BYTES, end - at));
      if (bytes.length === 0) break;
      if (!bytes.equals(ZEROS.subarray(0, bytes.length))) return at + bytes.findIndex((byte) => byte !== 0);
      at += bytes.length;
    }
    return end;
  }

  async #fill(file: FileHandle, offset: number, wanted: number): Promise<void> {
    const length = Math.min(Math.max(wanted, WINDOW_BYTES), this.length - offset);
    this.#reads++;
    this.#readBytes += length;
    if (this.#reads > READS_MAX || this.#readBytes > READ_BYTES_MAX) throw new BudgetSpent();
    const window = Buffer.allocUnsafe(length);
    const { bytesRead } = await file.read(window, 0, length, offset);
    this.#window = window.subarray(0, bytesRead);
    this.#windowAt = offset;
  }
}
