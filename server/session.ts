import type { Login } from './auth/login.js';
import { Dump } from './dump.js';
import { IncomingValue, type StoreContext } from './incoming-value.js';
import type { Output } from './output.js';
import type {
  ArithmeticRequest,
  CommandHandler,
  FlushRequest,
  GetRequest,
  KeyRequest,
  LoginRequest,
  Refusal,
  Request,
  SaslRequest,
  StatsRequest,
  StoreRequest,
  TouchRequest,
  VerbosityRequest,
} from './protocol/commands.js';
import type { Outcome, Replies } from './protocol/replies.js';
import { parsePlain } from './protocol/sasl-plain.js';
import { SEGMENT_KEYS_MAX } from './protocol/text-parser.js';
import type { Stats } from './stats.js';

/** Output beyond which a session takes no further command until some of it has gone. */
const PENDING_BYTES_MAX = 4 * 1024 * 1024;

/** What all sessions of a node share. */
export interface SessionContext extends StoreContext {
  stats: Stats;
  version: string;
}

/** Refusals after which the connection cannot go on. */
const FATAL: ReadonlySet<Refusal> = new Set<Refusal>(['arguments', 'length', 'line', 'locked', 'magic']);

/** Carries out one connection's commands, whatever protocol they came by. */
export class Session implements CommandHandler {
  /** Set when the connection is to be closed behind the output so far. */
  ended = false;
  private readonly value: IncomingValue;
  private activeDump: Dump | null = null;
  /** Whether a SASL authentication has begun and its message is awaited. */
  private saslBegun = false;
  private readonly found = new Float64Array(SEGMENT_KEYS_MAX);

  /**
   * @param onReady called when the session was paused and may not be so any more
   * @param gate what the client has to pass first, or null on a node that is open to all
   */
  constructor(
    private readonly context: SessionContext,
    private readonly output: Output,
    private readonly replies: Replies,
    private readonly onReady: () => void,
    private readonly gate: Login | null = null,
  ) {
    this.value = new IncomingValue(context, replies, onReady);
  }

  get paused(): boolean {
    const isWaiting = this.value.isWaiting || this.gate?.isWaiting;
    const isBusy = this.ended || this.activeDump !== null || isWaiting;
    return isBusy || this.output.pendingBytes > PENDING_BYTES_MAX;
  }

  get locked(): boolean {
    return this.gate?.locked ?? false;
  }

  /** To be called when output has gone. */
  outputTaken(): void {
    this.activeDump?.goOn();
  }

  /** To be called when the connection is gone. */
  close(): void {
    this.activeDump?.stop();
    this.gate?.close();
    this.value.drop();
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
    this.value.begin(request);
  }

  storeBytes(bytes: Uint8Array, start: number, end: number): void {
    this.value.add(bytes, start, end);
  }

  storeEnd(request: StoreRequest, intact: boolean): void {
    this.value.end(request, intact);
  }

  private find(request: KeyRequest): number {
    return this.context.store.findOne(request.bytes, request.keyStart, request.keyEnd);
  }

  /** Whether the item in `slot` has another cas unique than the request asks for. */
  private hasChanged(request: KeyRequest, slot: number): boolean {
    return request.cas !== 0n && request.cas !== BigInt(this.context.store.arena.cas(slot));
  }

  delete(request: KeyRequest): void {
    const slot = this.find(request);
    this.replies.outcome(request, this.deleteAt(request, slot), 0);
  }

  private deleteAt(request: KeyRequest, slot: number): Outcome {
    const { store, counters } = this.context;
    if (slot < 0) {
      counters.deleteMisses++;
      return 'not-found';
    }
    if (this.hasChanged(request, slot)) return 'exists';
    counters.deleteHits++;
    store.remove(slot);
    return 'deleted';
  }

  arithmetic(request: ArithmeticRequest): void {
    const slot = this.find(request);
    const result = slot < 0 ? this.startNumber(request) : this.addTo(request, slot);
    if (typeof result === 'bigint') this.replies.number(request, result, this.context.store.lastCas);
    else this.replies.outcome(request, result, 0);
  }

  private addTo(request: ArithmeticRequest, slot: number): bigint | Outcome {
    const { store, counters } = this.context;
    if (this.hasChanged(request, slot)) return 'exists';
    const result = store.add(slot, request.delta, request.decrement);
    if (result === 'no-memory') counters.storeNoMemory++;
    else if (request.decrement) counters.decrHits++;
    else counters.incrHits++;
    return result;
  }

  /** Stores the initial value of a number that is not there, if the request has one. */
  private startNumber(request: ArithmeticRequest): bigint | Outcome {
    const { store, counters } = this.context;
    const { bytes, keyStart, keyEnd, initial, exptime, decrement } = request;
    if (initial === null) {
      if (decrement) counters.decrMisses++;
      else counters.incrMisses++;
      return 'not-found';
    }
    const text = initial.toString();
    const slot = store.reserve(bytes, keyStart, keyEnd, 0, exptime, text.length);
    if (slot < 0) {
      counters.storeNoMemory++;
      return 'no-memory';
    }
    store.write(slot, 0, Buffer.from(text, 'latin1'), 0, text.length);
    const outcome = store.commit(slot, 'add', 0n);
    return outcome === 'stored' ? initial : outcome;
  }

  touch(request: TouchRequest): void {
    const slot = this.find(request);
    this.countTouches(1, slot < 0 ? 0 : 1);
    if (slot < 0) {
      this.replies.outcome(request, 'not-found', 0);
      return;
    }
    this.context.store.touch(slot, request.exptime);
    this.replies.touched(request, slot);
  }

  flush(request: FlushRequest): void {
    const { store, counters, sweeper } = this.context;
    counters.cmdFlush++;
    store.flush(request.delay);
    if (request.delay <= 0) sweeper.hurry();
    this.replies.outcome(request, 'ok', 0);
  }

  stats(request: StatsRequest): void {
    const isReset = request.topic === 'reset';
    if (isReset) {
      this.context.counters.reset();
      this.context.store.totalItems = 0;
    }
    const stats = isReset ? null : this.context.stats.topic(request.topic);
    if (stats) this.replies.stats(request, stats);
    else this.replies.outcome(request, isReset ? 'reset' : 'no-topic', 0);
  }

  dump(): void {
    this.activeDump = new Dump(this.context.store, this.output, () => {
      this.activeDump = null;
      this.onReady();
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

  login(request: LoginRequest): void {
    const { user, password } = request;
    this.gate!.attempt(user, password, (verdict) => this.replies.login(request, verdict));
  }

  mechanisms(request: Request): void {
    if (!this.gate) {
      this.refuse(request, 'unknown');
      return;
    }
    this.gate.lock();
    this.replies.login(request, 'mechanisms');
  }

  sasl(request: SaslRequest): void {
    const { gate, replies, saslBegun } = this;
    if (!gate) {
      this.refuse(request, 'unknown');
      return;
    }
    this.saslBegun = false;
    const { first, mechanism, message } = request;
    const isExpected = (first || saslBegun) && mechanism.toUpperCase() === 'PLAIN' && message !== null;
    if (isExpected && first && message.length === 0) {
      gate.lock();
      this.saslBegun = true;
      replies.login(request, 'continue');
      return;
    }
    const plain = isExpected ? parsePlain(message) : null;
    if (plain) gate.attempt(plain.user, plain.password, (verdict) => replies.login(request, verdict));
    else replies.login(request, gate.reject());
  }

  refuse(request: Request, refusal: Refusal): void {
    this.replies.refused(request, refusal);
    if (FATAL.has(refusal)) this.ended = true;
  }
}
