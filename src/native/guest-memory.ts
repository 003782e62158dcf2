/** Memory that a load fills: a memfd of our own, or a file that something else made. */
export interface GuestMemory {
  readonly bytes: number;
  readonly fd: number;
  readonly notice: string | null;
  /** Allocates the pages of a range now, so that a full disk or tmpfs is an error and not a SIGBUS. */
  reserve(offset: number, length: number): void;
  /** Has loads leave the pages of a range alone, but for what they write there: a hole in a file stays one. */
  keepHole(offset: number, length: number): void;
  write(offset: number, data: Uint8Array): void;
  /** A copy of the range. */
  read(offset: number, length: number): Buffer;
  /**
   * Adds `addend` to words of `wordBytes` in the range `image`, modulo their size. The table, `count` u32 (each a word's
   * distance from the image's offset), stands in this memory, at a multiple of 4.
   * @throws VolleyError ERR_VOLLEY_KERNEL when a word lies outside the image; words before it are changed then
   */
  relocate(
    table: { offset: number; count: number },
    image: { offset: number; length: number },
    wordBytes: 4 | 8,
    addend: number,
  ): void;
  close(): void;
}
