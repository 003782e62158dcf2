import type { Counters } from './counters.js';
import { Dump } from './dump.js';
import type { Output } from './output.js';
import type {
  ArithmeticRequest,
  CommandHandler,
  FlushRequest,
  GetRequest,
  KeyRequest,
  Refusal,
  Request,
  StatsRequest,
  StoreRequest,
  TouchRequest,
  VerbosityRequest,
} from './protocol/commands.js';
import type { Replies } from './protocol/replies.js';
import { SEGMENT_KEYS_MAX } from './protocol/text-parser.js';
import type { Stats } from './stats.js';
import { type Store, type StoreOutcome, TOO_LARGE } from './store.js';
import type { Sweeper } from './sweeper.js';

/** Output beyond which a session takes no further command until some of it has gone. */
const PENDING_BYTES_MAX = 4 * 1024 * 1024;
const NO_SLOT = -1;

/** What all sessions of a node share. */
export interface SessionContext {
  store: Store;
  stats: Stats;
  counters: Counters;
  sweeper: Sweeper;
  version: string;
}

/** Refusals after which the connection cannot go on. */
const FATAL: ReadonlySet<Refusal> = new Set<Refusal>(['arguments', 'length', 'line', 'magic']);

/** Carries out one connection's commands, whatever protocol they came by. */
export class Session implements CommandHandler {
  /** Set when the connection is to be closed behind the output so far. */
  ended = false;
  private activeDump: Dump | null = null;
  /** The slot that a value is being received into, and how much of it is there. */
  private slot = NO_SLOT;
  private received = 0;
  private readonly found = new Float64Array(SEGMENT_KEYS_MAX);

  /** @param onDumped called when a dump has ended and the session can take commands again */
  constructor(
    private readonly context: SessionContext,
    private readonly output: Output,
    private readonly replies: Replies,
    private readonly onDumped: () => void,
  ) {}

  get paused(): boolean {
    return this.ended || this.activeDump !== null || this.output.pendingBytes > PENDING_BYTES_MAX;
  }

  /** To be called when output has gone. */
  outputTaken(): void {
    this.activeDump?.goOn();
  }

  /** To be called when the connection is gone. */
  close(): void {
    this.activeDump?.stop();
    this.dropValue();
  }

  get(request: GetRequest): void {
    const { store, counters } = this.context;
    const { count } = request;
    store.find(request.bytes, request.ranges, count, this.found);
    let hits = 0;
    for (let i = 0; i < count; i++) {
      const slot = this.found[i]!;
      if (slot < 0) {
        this.replies.miss(request, i);
        continue;
      }
      hits++;
      if (request.exptime !== null) store.touch(slot, request.exptime);
      this.replies.hit(request, slot);
    }
    if (request.exptime === null) {
      counters.cmdGet += count;
      counters.getHits += hits;
      counters.getMisses += count - hits;
    } else {
      this.countTouches(count, hits);
    }
    if (request.last) this.replies.end(request);
  }

  private countTouches(count: number, hits: number): void {
    const { counters } = this.context;
    counters.cmdTouch += count;
    counters.touchHits += hits;
    counters.touchMisses += count - hits;
  }

  storeBegin(request: StoreRequest): void {
    const { store, counters } = this.context;
    const { bytes, keyStart, keyEnd, flags, exptime, valueBytes } = request;
    counters.cmdSet++;
    this.received = 0;
    const slot = store.reserve(bytes, keyStart, keyEnd, flags, exptime, valueBytes);
    if (slot >= 0) {
      this.slot = slot;
      return;
    }
    this.slot = NO_SLOT;
    const tooLarge = slot === TOO_LARGE;
    if (request.mode === 'set') this.removeKey(bytes, keyStart, keyEnd);
    this.storeFailed(request, tooLarge ? 'too-large' : 'no-memory');
  }

  storeBytes(bytes: Uint8Array, start: number, end: number): void {
    if (this.slot === NO_SLOT) return;
    this.context.store.write(this.slot, this.received, bytes, start, end);
    this.received += end - start;
  }

  storeEnd(request: StoreRequest, intact: boolean): void {
    if (this.slot === NO_SLOT) return;
    if (!intact) {
      this.dropValue();
      this.replies.outcome(request, 'bad-chunk', 0);
      return;
    }
    const { store, counters } = this.context;
    const outcome = store.commit(this.slot, request.mode, request.cas);
    this.slot = NO_SLOT;
    if (request.mode === 'cas') {
      if (outcome === 'stored') counters.casHits++;
      else if (outcome === 'exists') counters.casBadval++;
      else if (outcome === 'not-found') counters.casMisses++;
    }
    if (outcome === 'no-memory') this.storeFailed(request, outcome);
    else this.replies.outcome(request, outcome, outcome === 'stored' ? store.lastCas : 0);
  }

  private storeFailed(request: Request, outcome: 'too-large' | 'no-memory'): void {
    const { counters } = this.context;
    if (outcome === 'too-large') counters.storeTooLarge++;
    else counters.storeNoMemory++;
    this.replies.outcome(request, outcome, 0);
  }

  private dropValue(): void {
    if (this.slot !== NO_SLOT) this.context.store.abandon(this.slot);
    this.slot = NO_SLOT;
  }

  private removeKey(bytes: Uint8Array, start: number, end: number): void {
    const { store } = this.context;
    const slot = store.findOne(bytes, start, end);
    if (slot >= 0) store.remove(slot);
  }

  delete(request: KeyRequest): void {
    const { store, counters } = this.context;
    const slot = store.findOne(request.bytes, request.keyStart, request.keyEnd);
    if (slot < 0) {
      counters.deleteMisses++;
      return this.replies.outcome(request, 'not-found', 0);
    }
    if (request.cas !== 0n && request.cas !== BigInt(store.arena.cas(slot))) {
      return this.replies.outcome(request, 'exists', 0);
    }
    counters.deleteHits++;
    store.remove(slot);
    this.replies.outcome(request, 'deleted', 0);
  }

  arithmetic(request: ArithmeticRequest): void {
    const { store, counters } = this.context;
    const { bytes, keyStart, keyEnd, delta, decrement, cas } = request;
    const slot = store.findOne(bytes, keyStart, keyEnd);
    if (slot < 0) return this.arithmeticMissed(request);
    if (cas !== 0n && cas !== BigInt(store.arena.cas(slot)))
      return this.replies.outcome(request, 'exists', 0);
    const sum = store.add(slot, delta, decrement);
    if (sum === null) return this.replies.outcome(request, 'not-numeric', 0);
    if (sum === 'no-memory') return this.storeFailed(request, sum);
    if (decrement) counters.decrHits++;
    else counters.incrHits++;
    this.replies.number(request, sum, store.lastCas);
  }

  private arithmeticMissed(request: ArithmeticRequest): void {
    const { store, counters } = this.context;
    const { bytes, keyStart, keyEnd, initial, exptime } = request;
    if (initial === null) {
      if (request.decrement) counters.decrMisses++;
      else counters.incrMisses++;
      return this.replies.outcome(request, 'not-found', 0);
    }
    const outcome = this.storeText(bytes, keyStart, keyEnd, exptime, initial.toString());
    if (outcome !== 'stored') return this.storeFailed(request, 'no-memory');
    this.replies.number(request, initial, store.lastCas);
  }

  private storeText(
    key: Uint8Array,
    start: number,
    end: number,
    exptime: number,
    text: string,
  ): StoreOutcome {
    const { store } = this.context;
    const slot = store.reserve(key, start, end, 0, exptime, text.length);
    if (slot < 0) return 'no-memory';
    store.write(slot, 0, Buffer.from(text, 'latin1'), 0, text.length);
    return store.commit(slot, 'add', 0n);
  }

  touch(request: TouchRequest): void {
    const { store } = this.context;
    const slot = store.findOne(request.bytes, request.keyStart, request.keyEnd);
    this.countTouches(1, slot < 0 ? 0 : 1);
    if (slot < 0) return this.replies.outcome(request, 'not-found', 0);
    store.touch(slot, request.exptime);
    this.replies.touched(request, slot);
  }

  flush(request: FlushRequest): void {
    const { store, counters, sweeper } = this.context;
    counters.cmdFlush++;
    store.flush(request.delay);
    if (request.delay <= 0) sweeper.sweepAll();
    this.replies.outcome(request, 'ok', 0);
  }

  stats(request: StatsRequest): void {
    if (request.topic === 'reset') {
      this.context.counters.reset();
      return this.replies.outcome(request, 'reset', 0);
    }
    const stats = this.context.stats.topic(request.topic);
    if (stats) this.replies.stats(request, stats);
    else this.replies.outcome(request, 'no-topic', 0);
  }

  dump(_request: Request): void {
    this.activeDump = new Dump(this.context.store, this.output, () => {
      this.activeDump = null;
      this.onDumped();
    });
    this.activeDump.goOn();
  }

  version(request: Request): void {
    this.replies.version(request, this.context.version);
  }

  verbosity(request: VerbosityRequest): void {
    this.replies.outcome(request, 'ok', 0);
  }

  noop(request: Request): void {
    this.replies.outcome(request, 'ok', 0);
  }

  quit(request: Request): void {
    // The text protocol says nothing to a quit, the binary protocol acknowledges it.
    if (request.opcode !== 0) this.replies.outcome(request, 'ok', 0);
    this.ended = true;
  }

  refuse(request: Request, refusal: Refusal): void {
    this.replies.refused(request, refusal);
    if (FATAL.has(refusal)) this.ended = true;
  }
}
