/** Size classes at most: memcached's limit, and more than there are. */
const CLASSES_MAX = 64;

/** How many bytes the items of each size class have, by the class's number, from 1. */
export class ClassUse {
  private readonly bytes = new Float64Array(CLASSES_MAX);

  /** @param itemBytes less than 0 for an item that goes */
  add(classId: number, itemBytes: number): void {
    this.bytes[classId]! += itemBytes;
  }

  of(classId: number): number {
    return this.bytes[classId]!;
  }
}
