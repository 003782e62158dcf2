import type { Arena } from './arena.js';
import type { Slots } from './slots.js';

/** Size classes at most: memcached's limit, and more than there are. */
const CLASSES_MAX = 64;

/** What all linked items come to. */
export class Tally {
  /** Bytes of all linked items. */
  itemBytes = 0;
  /** Linked items that have an exptime. */
  expiringItems = 0;
  private readonly classBytes = new Float64Array(CLASSES_MAX);

  constructor(
    private readonly arena: Arena,
    private readonly slots: Slots,
  ) {}

  add(slot: number): void {
    this.change(slot, 1);
  }

  remove(slot: number): void {
    this.change(slot, -1);
  }

  private change(slot: number, sign: 1 | -1): void {
    const itemBytes = sign * this.arena.itemBytes(slot);
    this.itemBytes += itemBytes;
    this.classBytes[this.slots.classId(slot)]! += itemBytes;
    if (this.arena.exptime(slot) !== 0) this.expiringItems += sign;
  }

  /** Bytes of the items of a size class, by its number from 1. */
  bytesOf(classId: number): number {
    return this.classBytes[classId]!;
  }
}
