import { Arithmetic } from './arithmetic.js';
import type { Login } from './auth/login.js';
import { SaslDialogue } from './auth/sasl-dialogue.js';
import { Dump } from './dump.js';
import { IncomingValue, type StoreContext } from './incoming-value.js';
import { MetaOperations } from './meta-operations.js';
import type { Output } from './output.js';
import type {
  ArithmeticRequest,
  CommandHandler,
  DumpRequest,
  FlushRequest,
  GetRequest,
  KeyRequest,
  LoginRequest,
  ReadsRequest,
  Refusal,
  Request,
  SaslRequest,
  StatsRequest,
  StoreRequest,
  TouchRequest,
  VerbosityRequest,
} from './protocol/commands.js';
import { MetaReplies } from './protocol/meta-replies.js';
import type { MetaHandler } from './protocol/meta-requests.js';
import type { Outcome, Replies } from './protocol/replies.js';
import { SEGMENT_KEYS_MAX } from './protocol/text-parser.js';
import type { Stats } from './stats.js';
import { StatsCommands } from './stats-commands.js';

/** Output beyond which a session takes no further command until some of it has gone. */
export const PENDING_BYTES_MAX = 4 * 1024 * 1024;

/** Slots of the keys at hand: one for all sessions, so that it is in the processor's cache, for none keeps them. */
const FOUND = new Float64Array(SEGMENT_KEYS_MAX);

/** What all sessions of a node share. */
export interface SessionContext extends StoreContext {
  stats: Stats;
  version: string;
  /** Reads the certificates anew. @throws Error when they cannot be used, or the node speaks no TLS */
  refreshCertificates: () => void;
}

/** Longest reason that a client is told. */
const REASON_MAX = 1000;

/** Refusals after which the connection cannot go on. */
const FATAL: ReadonlySet<Refusal> = new Set<Refusal>([
  'arguments',
  'http',
  'length',
  'line',
  'locked',
  'magic',
]);

/** Carries out one connection's commands, whatever protocol they came by. */
export class Session implements CommandHandler {
  /** Set when the connection is to be closed behind the output so far. */
  ended = false;
  readonly meta: MetaHandler;
  private readonly value: IncomingValue;
  private readonly numbers: Arithmetic;
  private readonly statistics: StatsCommands;
  private activeDump: Dump | null = null;
  private readonly saslDialogue: SaslDialogue | null;
  /** Items that the `used` command under way has found so far. */
  private used = 0;

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
    this.numbers = new Arithmetic(context);
    this.statistics = new StatsCommands(context, replies);
    this.saslDialogue = gate && new SaslDialogue(gate, replies);
    this.meta = new MetaOperations(context, new MetaReplies(output, context.store.arena), replies);
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
    store.find(request.bytes, request.ranges, count, FOUND);
    if (request.markOnly) {
      this.tellUsed(request);
      return;
    }
    let hits = 0;
    for (let i = 0; i < count; i++) {
      const slot = FOUND[i]!;
      if (slot < 0) {
        this.replies.miss(request, i);
        continue;
      }
      hits++;
      const kind = request.exptime === null ? 'get_hits' : 'touch_hits';
      counters.classes.add(kind, this.context.slots.classId(slot));
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
    if (counters.prefixes.enabled) this.noteGets(request);
    if (request.last) this.replies.end(request);
  }

  private noteGets({ bytes, ranges, count }: GetRequest): void {
    for (let i = 0; i < count; i++) {
      const isHit = FOUND[i]! >= 0;
      this.context.counters.prefixes.noteGet(bytes, ranges[2 * i]!, ranges[2 * i + 1]!, isHit);
    }
  }

  /** Answers how many of the keys of a `used` command have items, which are marked as read by now. */
  private tellUsed(request: GetRequest): void {
    for (let i = 0; i < request.count; i++) if (FOUND[i]! >= 0) this.used++;
    if (!request.last) return;
    this.context.counters.usedItems += this.used;
    this.output.text(`USED ${this.used}\r\n`);
    this.used = 0;
  }

  private countTouches(count: number, hits: number): void {
    const { counters } = this.context;
    counters.cmdTouch += count;
    counters.touchHits += hits;
    counters.touchMisses += count - hits;
  }

  storeBegin(request: StoreRequest): void {
    const { prefixes } = this.context.counters;
    if (prefixes.enabled && !request.meta) prefixes.noteSet(request.bytes, request.keyStart, request.keyEnd);
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
    const { prefixes } = this.context.counters;
    if (prefixes.enabled) prefixes.noteDelete(request.bytes, request.keyStart, request.keyEnd);
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
    counters.classes.add('delete_hits', this.context.slots.classId(slot));
    store.remove(slot);
    return 'deleted';
  }

  arithmetic(request: ArithmeticRequest): void {
    const result = this.numbers.carryOut(request);
    if (typeof result === 'bigint') this.replies.number(request, result, this.context.store.lastCas);
    else this.replies.outcome(request, result, 0);
  }

  touch(request: TouchRequest): void {
    const { store, clock } = this.context;
    const slot = this.find(request);
    this.countTouches(1, slot < 0 ? 0 : 1);
    if (slot < 0) {
      this.replies.outcome(request, 'not-found', 0);
      return;
    }
    this.context.counters.classes.add('touch_hits', this.context.slots.classId(slot));
    store.touch(slot, request.exptime);
    store.noteUse(slot, clock.seconds());
    this.replies.touched(request, slot);
  }

  flush(request: FlushRequest): void {
    const { store, counters, sweeper } = this.context;
    counters.cmdFlush++;
    store.flushes.flush(request.delay);
    if (request.delay <= 0) sweeper.hurry();
    this.replies.outcome(request, 'ok', 0);
  }

  stats(request: StatsRequest): void {
    this.statistics.carryOut(request);
  }

  dump({ classes }: DumpRequest): void {
    this.activeDump = new Dump(this.context.store, this.output, classes, () => {
      this.activeDump = null;
      this.onReady();
    });
    this.activeDump.goOn();
  }

  reads(request: ReadsRequest): void {
    this.context.counters.oneSidedReads.add(request);
    this.replies.outcome(request, 'ok', 0);
  }

  sweep(request: Request): void {
    this.context.sweeper.hurry();
    this.replies.outcome(request, 'ok', 0);
  }

  refreshCertificates(request: Request): void {
    try {
      this.context.refreshCertificates();
    } catch (error) {
      const reason = (error as Error).message.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, REASON_MAX);
      // memcached tells this also who wants no reply.
      this.output.text(`Error ${reason}\r\n`);
      return;
    }
    this.replies.outcome(request, 'ok', 0);
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
    if (this.saslDialogue) this.saslDialogue.mechanisms(request);
    else this.refuse(request, 'unknown');
  }

  sasl(request: SaslRequest): void {
    if (this.saslDialogue) this.saslDialogue.take(request);
    else this.refuse(request, 'unknown');
  }

  refuse(request: Request, refusal: Refusal): void {
    this.replies.refused(request, refusal);
    if (FATAL.has(refusal)) this.ended = true;
  }
}
