import type { RegionView } from '../../src/native.js';
import { NO_ITEM } from '../../src/native.js';
import { Arena } from '../arena.js';
import type { Clock } from '../clock.js';
import { sizeClasses } from '../size-classes.js';
import type { ThreadCounts } from './thread-counts.js';

/** The items of a node as a reader thread sees them: nothing is changed but when they were read last. */
export class ReadStore {
  readonly arena: Arena;
  private readonly directory: Uint32Array;
  /** Numbers of the size classes by their slots' bytes. */
  private readonly classes: Map<number, number>;

  constructor(
    private readonly view: RegionView,
    private readonly clock: Clock,
    private readonly counts: ThreadCounts,
    /** Called with the key of an item that has to be taken away, for it is not what was stored. */
    private readonly onDamaged: (key: Uint8Array) => void,
  ) {
    this.arena = new Arena(view);
    this.directory = view.directory;
    const { pageBytes, pageCount } = this.arena;
    this.classes = new Map(sizeClasses(pageBytes, pageCount).map((bytes, i) => [bytes, i + 1]));
  }

  /**
   * Writes to out[i] the slot of key i, `bytes[ranges[2i], ranges[2i + 1])`, or a number below 0. Dead items are left to the
   * main thread, which looks for them.
   * @param isUse whether the items count as used
   */
  find(bytes: Uint8Array, ranges: Uint32Array, count: number, out: Float64Array, isUse: boolean): void {
    const { clock } = this;
    this.view.find(bytes, ranges, count, out, clock.seconds(), clock.wallSeconds(), isUse);
    for (let i = 0; i < count; i++) {
      const found = out[i]!;
      if (found >= NO_ITEM.missing) continue;
      if (found === NO_ITEM.expired) this.counts.getExpired++;
      else if (found === NO_ITEM.flushed) this.counts.getFlushed++;
      else this.onDamaged(bytes.slice(ranges[2 * i]!, ranges[2 * i + 1]!));
    }
  }

  /** Takes down that the item in a slot that was found is read now. */
  noteUse(slot: number): void {
    this.view.noteUse(slot, this.clock.seconds());
  }

  /** The number of the size class of a slot, from 1. */
  classId(slot: number): number {
    return this.classes.get(this.directory[Math.floor(slot / this.arena.pageBytes)]!) ?? 0;
  }
}
