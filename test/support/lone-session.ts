import type { Clock } from '../../server/clock.js';
import { Counters } from '../../server/counters.js';
import { Flights } from '../../server/flights.js';
import { Output } from '../../server/output.js';
import { BinaryParser } from '../../server/protocol/binary-parser.js';
import { BinaryReplies } from '../../server/protocol/binary-replies.js';
import type { Parser } from '../../server/protocol/commands.js';
import { TextParser } from '../../server/protocol/text-parser.js';
import { TextReplies } from '../../server/protocol/text-replies.js';
import { Session } from '../../server/session.js';
import { Slots } from '../../server/slots.js';
import type { Stats } from '../../server/stats.js';
import { Store } from '../../server/store.js';
import { Sweeper } from '../../server/sweeper.js';
import { Waiters } from '../../server/waiters.js';
import { native, type Region } from '../../src/native.js';

const PAGE_BYTES = 1_054_720;

/** A clock that a test sets. */
export class HandClock implements Clock {
  now = 1_700_000_000;
  /** What the wall clock is ahead of the node's time, in seconds. */
  wallAhead = 0;
  readonly seconds = () => Math.floor(this.now);
  readonly wallSeconds = () => Math.floor(this.now + this.wallAhead);
  readonly monotonicMs = () => this.now * 1000;
  /** The node's threads have the same time, as of now. */
  get base(): number {
    const [seconds, nanoseconds] = process.hrtime();
    return this.now * 1000 - 1000 * seconds - nanoseconds / 1e6;
  }
}

/** A store on a region of its own, without a node around it. */
export class LoneStore {
  readonly clock = new HandClock();
  readonly flights = new Flights();
  readonly region: Region;
  readonly slots: Slots;
  readonly store: Store;

  constructor({ pages = 4, quarantineMs = 1000, tableItems = 1024, itemSizeMax = 1024 * 1024 } = {}) {
    this.region = new (native().Region)({ arenaBytes: pages * PAGE_BYTES, tableItems, hugepages: false });
    this.slots = new Slots({
      pageBytes: PAGE_BYTES,
      pageCount: pages,
      quarantineMs,
      flights: this.flights,
      nowMs: () => this.clock.monotonicMs(),
    });
    const { region, slots, clock } = this;
    this.store = new Store({ region, slots, clock, itemSizeMax });
  }
}

/** One session on a store of its own, fed by hand; what it answers is kept in `answered`. */
export class LoneSession {
  readonly lone: LoneStore;
  readonly session: Session;
  readonly output: Output;
  private readonly parser: Parser;
  private readonly pieces: Buffer[] = [];

  constructor(protocol: 'text' | 'binary', lone = new LoneStore()) {
    this.lone = lone;
    const { clock, slots, store, flights } = lone;
    const sink = {
      cork() {},
      uncork() {},
      write: (bytes: Uint8Array, done?: () => void) => {
        this.pieces.push(Buffer.from(bytes));
        done?.();
        return true;
      },
    };
    this.output = new Output({
      sink,
      sender: null,
      flights,
      nowMs: () => clock.monotonicMs(),
      counters: { bytesWritten: 0 },
      onTaken: () => {},
    });
    const context = {
      store,
      slots,
      clock,
      counters: new Counters(),
      sweeper: new Sweeper(store, clock),
      waiters: new Waiters(slots),
      stats: {} as Stats,
      version: 'test',
      refreshCertificates: () => {},
      quarantineMs: 1000,
    };
    const replies =
      protocol === 'text'
        ? new TextReplies(this.output, store.arena)
        : new BinaryReplies(this.output, store.arena);
    this.session = new Session(context, this.output, replies, () => {});
    this.parser = protocol === 'text' ? new TextParser(this.session) : new BinaryParser(this.session);
  }

  /** Feeds the bytes in pieces whose lengths `next` tells, each in memory that is overwritten afterwards. */
  feed(bytes: Buffer, next: () => number = () => bytes.length): void {
    let at = 0;
    while (at < bytes.length) {
      const end = Math.min(bytes.length, at + Math.max(1, next()));
      const piece = Buffer.from(bytes.subarray(at, end));
      for (let taken = 0; taken < piece.length && !this.session.ended; ) {
        const stopped = this.parser.feed(piece, taken, piece.length);
        if (stopped === taken && this.output.pendingBytes === 0) break;
        taken = stopped;
        this.output.flush();
      }
      piece.fill(0xee);
      at = end;
    }
    this.output.flush();
  }

  /** All answers so far, which are forgotten. */
  answers(): Buffer {
    return Buffer.concat(this.pieces.splice(0));
  }
}

/** Numbers from 0 to 1 that are the same in every run with the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
