/** Size classes at most: memcached's limit, and more than there are. */
export const CLASSES_MAX = 64;

/** What is counted by size class; the names are those of memcached's `stats slabs` and `stats items`. */
const KINDS = [
  'get_hits',
  'cmd_set',
  'delete_hits',
  'incr_hits',
  'decr_hits',
  'cas_hits',
  'cas_badval',
  'touch_hits',
  'outofmemory',
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

  of(kind: ClassCommand, classId: number): number {
    return this.counts[kind][classId]!;
  }

  /** What `stats slabs` tells of a class, by memcached's names. */
  commandsOf(classId: number): [name: ClassCommand, count: number][] {
    return KINDS.filter((kind) => kind !== 'outofmemory').map((kind) => [kind, this.of(kind, classId)]);
  }

  clear(): void {
    for (const kind of KINDS) this.counts[kind].fill(0);
  }
}
