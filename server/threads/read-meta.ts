import type { Clock } from '../clock.js';
import { secondsLeft } from '../exptime.js';
import { STATE } from '../item.js';
import type { Request } from '../protocol/commands.js';
import type { MetaFacts, MetaReplies } from '../protocol/meta-replies.js';
import type { MetaHandler, MetaRequest } from '../protocol/meta-requests.js';
import type { ReadStore } from './read-store.js';
import type { ThreadCounts } from './thread-counts.js';

const TTL = 't'.charCodeAt(0);

/** Carries out what of the meta commands only reads, and leaves the rest to the main thread. */
export class ReadMeta implements MetaHandler {
  readonly delete: () => void;
  readonly arithmetic: () => void;
  readonly debug: () => void;
  private readonly range = new Uint32Array(2);
  private readonly found = new Float64Array(1);

  /** @param leave called for what a reader thread does not do, before anything was done or answered */
  constructor(
    private readonly store: ReadStore,
    private readonly counts: ThreadCounts,
    private readonly clock: Clock,
    private readonly replies: MetaReplies,
    private readonly leave: () => void,
  ) {
    this.delete = leave;
    this.arithmetic = leave;
    this.debug = leave;
  }

  get(request: MetaRequest): void {
    const { store, counts } = this;
    const { exptime, vivify, recache, unused } = request.meta;
    const changes = exptime !== null || vivify !== null || recache !== null;
    const slot = changes ? -1 : this.find(request);
    // Who reads a stale item first is told to recache it, and nobody else.
    const isOffered = slot >= 0 && store.arena.hasState(slot, STATE.stale);
    if (changes || (isOffered && !store.arena.hasState(slot, STATE.tokenSent))) {
      this.leave();
      return;
    }
    counts.cmdMeta++;
    counts.cmdGet++;
    if (slot < 0) {
      counts.getMisses++;
      this.replies.miss(request);
      return;
    }
    counts.getHits++;
    counts.classHits[store.classId(slot)]!++;
    const facts = this.factsOf(request, slot);
    if (!unused) store.noteUse(slot);
    this.replies.hit(request, slot, facts);
  }

  private find({ bytes, keyStart, keyEnd }: MetaRequest): number {
    this.range[0] = keyStart;
    this.range[1] = keyEnd;
    this.store.find(bytes, this.range, 1, this.found, false);
    return this.found[0]!;
  }

  private factsOf({ meta }: MetaRequest, slot: number): MetaFacts {
    const { arena } = this.store;
    const now = this.clock.seconds();
    const isTtlAsked = meta.codes.subarray(0, meta.count).includes(TTL);
    const left = isTtlAsked ? secondsLeft(arena, slot, this.clock) : Number.POSITIVE_INFINITY;
    return {
      ttl: Number.isFinite(left) ? Math.max(0, left) : -1,
      idle: now - arena.accessed(slot),
      fetched: arena.hasState(slot, STATE.fetched),
      won: false,
      sent: arena.hasState(slot, STATE.tokenSent),
      created: false,
    };
  }

  noop(request: Request): void {
    this.replies.noop(request);
  }
}
