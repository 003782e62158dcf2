import { Arithmetic } from './arithmetic.js';
import { commit } from './commit.js';
import { nodeExptime } from './exptime.js';
import { STATE } from './item.js';
import type { Request } from './protocol/commands.js';
import type { MetaFacts, MetaReplies } from './protocol/meta-replies.js';
import type { MetaArithmeticRequest, MetaHandler, MetaRequest } from './protocol/meta-requests.js';
import type { Replies } from './protocol/replies.js';
import type { SessionContext } from './session.js';

const NO_SLOT = -1;
const CODE = { N: 0x4e, R: 0x52, T: 0x54, t: 0x74 } as const;

/** Carries out the meta commands that have no classic counterpart. */
export class MetaOperations implements MetaHandler {
  private readonly numbers: Arithmetic;

  constructor(
    private readonly context: SessionContext,
    private readonly replies: MetaReplies,
    private readonly classicReplies: Replies,
  ) {
    this.numbers = new Arithmetic(context);
  }

  get(request: MetaRequest): void {
    const { store, slots, counters, clock } = this.context;
    const { meta } = request;
    counters.cmdMeta++;
    const found = this.find(request);
    const slot = found < 0 && meta.vivify !== null ? this.vivify(request) : found;
    if (meta.exptime !== null && slot >= 0) {
      counters.cmdTouch++;
      counters.touchHits++;
      counters.classes.add('touch_hits', slots.classId(slot));
    } else {
      counters.cmdGet++;
      if (slot < 0) counters.getMisses++;
      else {
        counters.getHits++;
        counters.classes.add('get_hits', slots.classId(slot));
      }
    }
    if (slot < 0) {
      this.replies.miss(request);
      return;
    }
    const facts = this.walk(request, slot, found < 0);
    if (facts.won || (store.arena.hasState(slot, STATE.stale) && !facts.sent)) {
      facts.won = true;
      store.mark(slot, STATE.tokenSent, 0);
    }
    if (!meta.unused) store.noteUse(slot, clock.seconds());
    this.replies.hit(request, slot, facts);
  }

  private find(request: MetaRequest): number {
    return this.context.store.findOne(request.bytes, request.keyStart, request.keyEnd);
  }

  /** The slot of a new, empty item, or NO_SLOT. Its exptime comes when the flag N is reached. */
  private vivify({ bytes, keyStart, keyEnd }: MetaRequest): number {
    const { store } = this.context;
    const slot = store.reserve(bytes, keyStart, keyEnd, 0, 0, 0);
    return slot >= 0 && commit(store, slot, 'add', 0n) === 'stored' ? slot : NO_SLOT;
  }

  /** Does what the flags ask in the order they came, for a T before a t tells another time than one behind it. */
  private walk({ meta }: MetaRequest, slot: number, created: boolean): MetaFacts {
    const { store, clock } = this.context;
    const { arena } = store;
    const now = clock.seconds();
    const sent = arena.hasState(slot, STATE.tokenSent);
    const facts: MetaFacts = {
      ttl: -1,
      idle: now - arena.accessed(slot),
      fetched: arena.hasState(slot, STATE.fetched),
      won: false,
      sent,
      created,
    };
    for (let i = 0; i < meta.count; i++) {
      const code = meta.codes[i];
      const left = store.secondsLeft(slot);
      if (code === CODE.T) store.touch(slot, meta.exptime!);
      else if (code === CODE.t) facts.ttl = Number.isFinite(left) ? Math.max(0, left) : -1;
      else if (code === CODE.N && created) {
        store.touch(slot, meta.vivify!);
        facts.won = true;
      } else if (code === CODE.R && !sent && !created && Number.isFinite(left)) {
        facts.won ||= now + left < nodeExptime(meta.recache!, clock);
      }
    }
    return facts;
  }

  delete(request: MetaRequest): void {
    const { store, counters } = this.context;
    const { meta } = request;
    counters.cmdMeta++;
    const slot = this.find(request);
    if (slot < 0 || (meta.hasCas && request.cas !== BigInt(store.arena.cas(slot)))) {
      counters.deleteMisses++;
      this.replies.outcome(request, slot < 0 ? 'not-found' : 'exists', 0);
      return;
    }
    if (meta.invalidate) {
      if (meta.exptime !== null) store.touch(slot, meta.exptime);
      store.invalidate(slot);
    } else {
      counters.deleteHits++;
      counters.classes.add('delete_hits', this.context.slots.classId(slot));
      store.remove(slot);
    }
    this.replies.outcome(request, 'deleted', 0);
  }

  arithmetic(request: MetaArithmeticRequest): void {
    this.context.counters.cmdMeta++;
    const isThere = this.find(request) >= 0;
    const result = this.numbers.carryOut(request);
    if (typeof result !== 'bigint') {
      this.classicReplies.outcome(request, result, 0);
      return;
    }
    const slot = this.find(request);
    this.replies.number(request, result, slot, this.walk(request, slot, !isThere));
  }

  debug(request: MetaRequest): void {
    const { store, counters, clock } = this.context;
    counters.cmdMeta++;
    const slot = this.find(request);
    if (slot < 0) this.replies.debugMiss();
    else this.replies.debug(slot, clock.seconds(), store.secondsLeft(slot), store.sizeClassOf(slot));
  }

  noop(request: Request): void {
    this.replies.noop(request);
  }
}
