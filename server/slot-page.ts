/** Which slots of one arena page are free: a bit per slot, set when it is free. */
export class SlotPage {
  /** How many slots are free. */
  free: number;
  /** Whether no slots are given out any more, because the page is being emptied. */
  isClosed = false;
  /** Word of the bitmap below which no bit is set. */
  private first = 0;
  private readonly bits: Int32Array;

  constructor(
    /** Index of the size class that the page is cut for. */
    readonly sizeClass: number,
    /** How many slots the page has. */
    readonly slots: number,
  ) {
    this.free = slots;
    this.bits = new Int32Array(Math.ceil(slots / 32)).fill(-1);
    if (slots % 32 !== 0) this.bits[this.bits.length - 1] = 2 ** (slots % 32) - 1;
  }

  /** Takes the lowest free slot; the page must have one. */
  take(): number {
    let word = this.first;
    while (this.bits[word] === 0) word++;
    const bits = this.bits[word]!;
    const lowest = bits & -bits;
    this.bits[word] = bits ^ lowest;
    this.first = word;
    this.free--;
    return word * 32 + 31 - Math.clz32(lowest);
  }

  /** Takes a certain slot, which must be free. */
  takeAt(slot: number): void {
    this.bits[slot >>> 5]! &= ~(1 << (slot & 31));
    this.free--;
  }

  /** Gives a slot back. @throws Error when it was free already: the caller's count of the world is wrong */
  give(slot: number): void {
    if (this.isFree(slot)) throw new Error(`slot ${slot} was freed twice`);
    const word = slot >>> 5;
    this.bits[word]! |= 1 << (slot & 31);
    if (word < this.first) this.first = word;
    this.free++;
  }

  isFree(slot: number): boolean {
    return (this.bits[slot >>> 5]! & (1 << (slot & 31))) !== 0;
  }
}
