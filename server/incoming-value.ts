import type { Clock } from './clock.js';
import { commit } from './commit.js';
import type { Counters } from './counters.js';
import { STATE } from './item.js';
import { KEY_BYTES_MAX, type StoreRequest } from './protocol/commands.js';
import type { Replies } from './protocol/replies.js';
import { HELD_UP_MS_MAX, type Slots } from './slots.js';
import { NO_MEMORY, type Store, TOO_LARGE } from './store.js';
import type { Sweeper } from './sweeper.js';
import type { Waiter, Waiters } from './waiters.js';

const NO_SLOT = -1;
/** Milliseconds that a store waits for a slot beyond the time that slots rest. */
const WAIT_MARGIN_MS = 500;
/** The same while clients hold up slots: until they are shed, which is looked to once a second. */
const HELD_UP_MARGIN_MS = HELD_UP_MS_MAX + 1500;

export interface StoreContext {
  store: Store;
  slots: Slots;
  counters: Counters;
  sweeper: Sweeper;
  waiters: Waiters;
  clock: Clock;
  quarantineMs: number;
}

/**
 * The value that one connection is sending: takes a slot when a store begins, writes the value where it will lie, and
 * has it committed. When all memory is in use but some of it rests, or is of items that expire in a moment, the store
 * waits for that; when there is none to wait for, it fails at once.
 */
export class IncomingValue implements Waiter {
  private slot = NO_SLOT;
  /** Bytes of the value that are in the slot. */
  private received = 0;
  /** The store that waits for a slot, its key, and until when. */
  private waiting: StoreRequest | null = null;
  private readonly key = Buffer.alloc(KEY_BYTES_MAX);
  private keyBytes = 0;
  private deadlineMs = 0;

  /** @param onReady called when a wait has ended */
  constructor(
    private readonly context: StoreContext,
    private readonly replies: Replies,
    private readonly onReady: () => void,
  ) {}

  /** Whether the value's bytes cannot be taken yet. */
  get isWaiting(): boolean {
    return this.waiting !== null;
  }

  begin(request: StoreRequest): void {
    const { bytes, keyStart, keyEnd } = request;
    this.context.counters.cmdSet++;
    this.received = 0;
    this.slot = NO_SLOT;
    if (request.meta) this.context.counters.cmdMeta++;
    const slot = this.reserve(request, bytes, keyStart, keyEnd);
    if (slot >= 0) this.slot = slot;
    else if (slot === NO_MEMORY && this.isMemoryComing()) this.wait(request);
    else this.fail(request, slot === TOO_LARGE ? 'too-large' : 'no-memory', bytes, keyStart, keyEnd);
  }

  private reserve(request: StoreRequest, key: Uint8Array, start: number, end: number): number {
    const { flags, exptime, valueBytes, meta } = request;
    const { store } = this.context;
    const slot = store.reserve(key, start, end, flags, exptime, valueBytes);
    if (slot >= 0 && meta?.binaryKey) store.mark(slot, STATE.binaryKey, 0);
    return slot;
  }

  /** Whether some memory will be free when it has rested; has dead items taken away if there may be any. */
  private isMemoryComing(): boolean {
    const { slots, store, sweeper } = this.context;
    if (store.tally.expiringItems > 0) sweeper.reclaim();
    if (slots.resting > 0 || slots.isEmptying || sweeper.isHurrying) return true;
    return store.tally.expiringItems > 0 && store.nearExpiry.isPending;
  }

  private wait(request: StoreRequest): void {
    const { waiters, clock, quarantineMs, store, slots } = this.context;
    this.keyBytes = request.keyEnd - request.keyStart;
    this.key.set(request.bytes.subarray(request.keyStart, request.keyEnd));
    this.waiting = request;
    const expiryMs = 1000 * store.nearExpiry.ahead(clock.seconds());
    const marginMs = slots.isHeldUp ? HELD_UP_MARGIN_MS : WAIT_MARGIN_MS;
    this.deadlineMs = clock.monotonicMs() + expiryMs + quarantineMs + marginMs;
    waiters.add(this);
  }

  retry(): void {
    const request = this.waiting!;
    const slot = this.reserve(request, this.key, 0, this.keyBytes);
    const isLate = this.context.clock.monotonicMs() >= this.deadlineMs;
    if (slot < 0 && !isLate && this.isMemoryComing()) return;
    this.waiting = null;
    this.context.waiters.delete(this);
    if (slot >= 0) this.slot = slot;
    else this.fail(request, 'no-memory', this.key, 0, this.keyBytes);
    this.onReady();
  }

  /** Answers that the value cannot be stored; what comes of it is thrown away. */
  private fail(
    request: StoreRequest,
    outcome: 'too-large' | 'no-memory',
    key: Uint8Array,
    start: number,
    end: number,
  ): void {
    const { store, counters } = this.context;
    if (outcome === 'too-large') counters.storeTooLarge++;
    else counters.noteNoMemory(store.sizeClassFor(end - start, request.flags, request.valueBytes));
    if (request.mode === 'set' || request.meta) {
      // Nobody shall read the stale value: memcached's rule.
      const stale = store.findOne(key, start, end);
      if (stale >= 0) store.remove(stale);
    }
    this.replies.outcome(request, outcome, 0);
  }

  add(bytes: Uint8Array, start: number, end: number): void {
    if (this.slot === NO_SLOT) return;
    this.context.store.write(this.slot, this.received, bytes, start, end);
    this.received += end - start;
  }

  end(request: StoreRequest, intact: boolean): void {
    if (this.slot === NO_SLOT) return;
    if (!intact) {
      this.drop();
      this.replies.outcome(request, 'bad-chunk', 0);
      return;
    }
    const { store, slots, counters } = this.context;
    const { classes } = counters;
    const classId = slots.classId(this.slot);
    const outcome = commit(store, this.slot, request.mode, request.cas, request.meta?.invalidate);
    this.slot = NO_SLOT;
    classes.add('cmd_set', classId);
    if (outcome === 'no-memory') counters.noteNoMemory(classId);
    if (request.mode === 'cas') {
      if (outcome === 'stored') {
        counters.casHits++;
        classes.add('cas_hits', classId);
      } else if (outcome === 'exists') {
        counters.casBadval++;
        classes.add('cas_badval', classId);
      } else if (outcome === 'not-found') counters.casMisses++;
    }
    this.replies.outcome(request, outcome, outcome === 'stored' ? store.lastCas : 0);
  }

  /** Forgets the value. */
  drop(): void {
    if (this.slot !== NO_SLOT) this.context.store.abandon(this.slot);
    this.slot = NO_SLOT;
    if (this.waiting) this.context.waiters.delete(this);
    this.waiting = null;
  }
}
