import { STATE } from './item.js';
import type { Output } from './output.js';
import type { Store } from './store.js';

/** Items told per turn of the event loop. */
const STEP_ITEMS = 256;
/** Output beyond which the dump waits for the client. */
const PENDING_BYTES_MAX = 256 * 1024;

/**
 * Tells a client of every item, as memcached's `lru_crawler metadump all` does: a step per turn of the event loop, and no
 * further than the client reads. Items that are stored or deleted meanwhile may be told of or not; those that are moved are
 * told of.
 */
export class Dump {
  private at = 0;
  private immediate: NodeJS.Immediate | undefined;
  private stopped = false;
  /** Slots behind the dump that hold items which were moved there from before it. */
  private readonly passedBy = new Set<number>();

  constructor(
    private readonly store: Store,
    private readonly output: Output,
    /** The size classes to tell of, or null for all. */
    private readonly classes: ReadonlySet<number> | null,
    private readonly onEnd: () => void,
  ) {
    store.moveListeners.add(this.onMove);
  }

  private readonly onMove = (from: number, to: number): void => {
    const isUntold = from >= this.at || this.passedBy.delete(from);
    if (isUntold && to < this.at) this.passedBy.add(to);
  };

  /** To be called to begin, and whenever output has gone. */
  goOn(): void {
    if (this.immediate || this.stopped || this.output.pendingBytes > PENDING_BYTES_MAX) return;
    this.immediate = setImmediate(() => {
      this.immediate = undefined;
      this.step();
    });
  }

  stop(): void {
    this.stopped = true;
    this.store.moveListeners.delete(this.onMove);
    if (this.immediate) clearImmediate(this.immediate);
  }

  private step(): void {
    for (let i = 0; i < STEP_ITEMS; i++) {
      const slot = this.next();
      if (slot < 0) {
        this.output.text('END\r\n');
        this.output.flush();
        this.stop();
        this.onEnd();
        return;
      }
      if (!this.store.removeIfDead(slot) && this.isWanted(slot)) this.output.text(this.line(slot));
    }
    this.output.flush();
    this.goOn();
  }

  /** The next item to tell of, or -1. */
  private next(): number {
    const slot = this.store.nextItem(this.at);
    if (slot >= 0) {
      this.at = slot + 1;
      return slot;
    }
    this.at = Number.POSITIVE_INFINITY;
    for (const passed of this.passedBy) {
      this.passedBy.delete(passed);
      if (this.store.holdsItem(passed)) return passed;
    }
    return -1;
  }

  private isWanted(slot: number): boolean {
    return this.classes === null || this.classes.has(this.store.sizeClassOf(slot));
  }

  private line(slot: number): string {
    const { arena } = this.store;
    const key = escapeKey(arena.key(slot));
    const exptime = this.store.exptimeOf(slot) || -1;
    return (
      `key=${key} exp=${exptime} la=${arena.accessed(slot)} cas=${arena.cas(slot)} ` +
      `fetch=${arena.hasState(slot, STATE.fetched) ? 'yes' : 'no'} ` +
      `cls=${this.store.sizeClassOf(slot)} size=${arena.itemBytes(slot)}\n`
    );
  }
}

/** The key with every byte but letters, digits and `-._~` written as %XX. */
function escapeKey(key: Buffer): string {
  const text = key.toString('latin1');
  if (/^[\w.~-]*$/.test(text)) return text;
  return text.replace(
    /[^\w.~-]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}
