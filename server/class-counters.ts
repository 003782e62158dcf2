/** Size classes at most: memcached's limit, and more than there are. */
export const CLASSES_MAX = 64;

/** Commands that `stats slabs` counts by size class; the names are memcached's. */
const KINDS = [
  'get_hits',
  'cmd_set',
  'delete_hits',
  'incr_hits',
  'decr_hits',
  'cas_hits',
  'cas_badval',
  'touch_hits',
] as const;
export type ClassCommand = (typeof KINDS)[number];

/** Counts commands by the size class of the item that they met. */
export class ClassCounters {
  private readonly counts = Object.fromEntries(
    KINDS.map((kind) => [kind, new Float64Array(CLASSES_MAX)]),
  ) as Record<ClassCommand, Float64Array>;

  /** @param classId the class's number, from 1 */
  add(kind: ClassCommand, classId: number, count = 1): void {
    this.counts[kind][classId]! += count;
  }

  /** What was counted of a class, by memcached's names. */
  of(classId: number): [name: ClassCommand, count: number][] {
    return KINDS.map((kind) => [kind, this.counts[kind][classId]!]);
  }

  clear(): void {
    for (const kind of KINDS) this.counts[kind].fill(0);
  }
}
