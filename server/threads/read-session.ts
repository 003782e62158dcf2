import type { Clock } from '../clock.js';
import type { Speaker } from '../conversation.js';
import type { Output } from '../output.js';
import type { CommandHandler, GetRequest, Refusal, Request } from '../protocol/commands.js';
import { MetaReplies } from '../protocol/meta-replies.js';
import type { MetaHandler } from '../protocol/meta-requests.js';
import type { Replies } from '../protocol/replies.js';
import { SEGMENT_KEYS_MAX } from '../protocol/text-parser.js';
import { PENDING_BYTES_MAX } from '../session.js';
import { ReadMeta } from './read-meta.js';
import type { ReadStore } from './read-store.js';
import type { ThreadCounts } from './thread-counts.js';

/** What all sessions of a reader thread share. */
export interface ReadContext {
  store: ReadStore;
  counters: ThreadCounts;
  clock: Clock;
  version: string;
  /** Whether the main thread wants to carry out all commands. */
  isRecalled: () => boolean;
}

/**
 * Carries out one connection's commands as long as they only read. The first one that does not makes the session leave: it
 * is not carried out, and the connection goes on in the main thread from that command on.
 */
export class ReadSession implements CommandHandler, Speaker {
  ended = false;
  leaves = false;
  /** The command that was not carried out, as far as its bytes are not in the connection's hands. */
  unread: Uint8Array | null = null;
  readonly locked = false;
  readonly meta: MetaHandler;
  /** Whether part of a retrieval has been answered. */
  private isAnswering = false;
  private readonly found = new Float64Array(SEGMENT_KEYS_MAX);

  constructor(
    private readonly context: ReadContext,
    private readonly output: Output,
    private readonly replies: Replies,
  ) {
    const { store, counters, clock } = context;
    const meta = new ReadMeta(store, counters, clock, new MetaReplies(output, store.arena), () =>
      this.leave(),
    );
    this.meta = meta;
  }

  get paused(): boolean {
    return this.ended || this.leaves || this.output.pendingBytes > PENDING_BYTES_MAX;
  }

  /** Gives the command at hand away; nothing of it must have been answered. */
  readonly leave = (): void => {
    this.leaves = true;
  };

  readonly storeBegin = this.leave;
  readonly storeBytes = this.leave;
  readonly storeEnd = this.leave;
  readonly delete = this.leave;
  readonly arithmetic = this.leave;
  readonly touch = this.leave;
  readonly flush = this.leave;
  readonly stats = this.leave;
  readonly dump = this.leave;
  readonly sweep = this.leave;
  readonly refreshCertificates = this.leave;
  readonly reads = this.leave;
  readonly verbosity = this.leave;
  readonly login = this.leave;
  readonly mechanisms = this.leave;
  readonly sasl = this.leave;

  get(request: GetRequest): void {
    const changes = request.exptime !== null || request.markOnly === true;
    const isRecalled = !this.isAnswering && this.context.isRecalled();
    if (changes || isRecalled) this.leave();
    else this.read(request);
  }

  private read(request: GetRequest): void {
    const { store, counters } = this.context;
    const { count } = request;
    store.find(request.bytes, request.ranges, count, this.found, true);
    let hits = 0;
    for (let i = 0; i < count; i++) {
      const slot = this.found[i]!;
      if (slot < 0) {
        this.replies.miss(request, i);
        continue;
      }
      hits++;
      counters.classHits[store.classId(slot)]!++;
      this.replies.hit(request, slot);
    }
    counters.cmdGet += count;
    counters.getHits += hits;
    counters.getMisses += count - hits;
    this.isAnswering = !request.last;
    if (request.last) this.replies.end(request);
  }

  version(request: Request): void {
    this.replies.version(request, this.context.version);
  }

  noop(request: Request): void {
    this.replies.outcome(request, 'ok', 0);
  }

  quit(request: Request): void {
    if (request.opcode !== 0) this.replies.outcome(request, 'ok', 0);
    this.ended = true;
  }

  /** The main thread knows what to say, unless the beginning of the line has been answered here. */
  refuse(request: Request, refusal: Refusal): void {
    if (!this.isAnswering) this.leave();
    else this.replies.refused(request, refusal);
    this.isAnswering = false;
  }

  outputTaken(): void {}

  close(): void {}
}
