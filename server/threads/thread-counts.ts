import { CLASSES_MAX } from '../class-counters.js';

/** What a reader thread counts, under the names of Counters. */
const NAMES = [
  'bytesRead',
  'bytesWritten',
  'cmdGet',
  'getHits',
  'getMisses',
  'cmdMeta',
  'getExpired',
  'getFlushed',
] as const;
export type ThreadCount = (typeof NAMES)[number];

/** A thread's counts, in memory that the main thread reads: only the thread writes them, and they only grow. */
export interface ThreadCounts extends Record<ThreadCount, number> {
  /** Gets that met items of a size class, by the class's number. */
  readonly classHits: Float64Array;
}

export function threadCountsMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(8 * (NAMES.length + CLASSES_MAX));
}

/** The thread's own view of that memory. */
export function threadCounts(memory: SharedArrayBuffer): ThreadCounts {
  const counts = new Float64Array(memory, 0, NAMES.length);
  const classHits = new Float64Array(memory, 8 * NAMES.length);
  const live = { classHits } as ThreadCounts;
  NAMES.forEach((name, i) => {
    Object.defineProperty(live, name, {
      get: () => counts[i],
      set: (value: number) => {
        counts[i] = value;
      },
    });
  });
  return live;
}

/** Reads a thread's counts from the main thread, as what has come since it was read last. */
export class CountsReader {
  private readonly counts: Float64Array;
  private readonly taken: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.counts = new Float64Array(memory);
    this.taken = new Float64Array(this.counts.length);
  }

  /** Tells all that was counted since the last call. */
  take(
    onCount: (name: ThreadCount, more: number) => void,
    onClass: (classId: number, hits: number) => void,
  ): void {
    for (let i = 0; i < this.counts.length; i++) {
      const count = this.counts[i]!;
      const more = count - this.taken[i]!;
      if (more === 0) continue;
      this.taken[i] = count;
      const name = NAMES[i];
      if (name) onCount(name, more);
      else onClass(i - NAMES.length, more);
    }
  }
}
