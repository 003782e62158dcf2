import { REQUEST_MAGIC } from '../protocol/binary-parser.js';
import { KEY_BYTES_MAX, type Parser } from '../protocol/commands.js';
import type { ReadSession } from './read-session.js';
import type { ThreadFlights } from './thread-flights.js';

/** Longest command that is kept until it is whole; a longer one is the main thread's. */
const CARRY_BYTES_MAX = 16_384;
const LF = 0x0a;
const HEADER_BYTES = 24;
const INCOMPLETE = -1;
const NOTHING = new Uint8Array(0);

/** Where the command ends that begins at `at`, without a value that belongs to it; INCOMPLETE when that lies behind `end`. */
type FrameEnd = (bytes: Uint8Array, at: number, end: number) => number;

export function endOfLine(bytes: Uint8Array, at: number, end: number): number {
  const index = bytes.indexOf(LF, at);
  return index < 0 || index >= end ? INCOMPLETE : index + 1;
}

export function endOfBinaryHead(bytes: Uint8Array, at: number, end: number): number {
  if (bytes[at] !== REQUEST_MAGIC) return end;
  if (end - at < HEADER_BYTES) return INCOMPLETE;
  const keyBytes = (bytes[at + 2]! << 8) | bytes[at + 3]!;
  // What is wrong with a key that long shows from the header.
  if (keyBytes > KEY_BYTES_MAX) return at + HEADER_BYTES;
  const next = at + HEADER_BYTES + bytes[at + 4]! + keyBytes;
  return next > end ? INCOMPLETE : next;
}

/**
 * Feeds a parser one whole command at a time, so that the first one that the session does not carry out can be given away with
 * all its bytes.
 */
export class FramedParser implements Parser {
  /** A command whose bytes came in pieces, and how much of it is there, and was taken. */
  private carry: Uint8Array = NOTHING;
  private carried = 0;
  private taken = 0;
  /** Whether the carried command is whole. */
  private isWhole = false;
  /** Bytes that the parser has still to take of a command that it takes where it lies. */
  private remaining = 0;

  constructor(
    private readonly parser: Parser,
    private readonly frameEnd: FrameEnd,
    private readonly session: ReadSession,
    private readonly flights: ThreadFlights,
  ) {}

  get midCommand(): boolean {
    return this.carried > 0 || this.remaining > 0;
  }

  feed(bytes: Uint8Array, start: number, end: number): number {
    this.flights.enter();
    try {
      return this.take(bytes, start, end);
    } finally {
      this.flights.leave();
    }
  }

  private take(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (!this.session.paused) {
      if (this.isWhole) this.takeCarried();
      else if (at === end) break;
      else if (this.carried > 0) at = this.extendCarry(bytes, at, end);
      else at = this.takeInPlace(bytes, at, end);
    }
    return at;
  }

  private takeInPlace(bytes: Uint8Array, at: number, end: number): number {
    if (this.remaining === 0) {
      const next = this.frameEnd(bytes, at, end);
      if (next === INCOMPLETE) return this.beginCarry(bytes, at, end);
      this.remaining = next - at;
    }
    const stopped = this.parser.feed(bytes, at, at + this.remaining);
    if (this.session.leaves) return at;
    this.remaining -= stopped - at;
    return stopped;
  }

  private beginCarry(bytes: Uint8Array, at: number, end: number): number {
    if (end - at >= CARRY_BYTES_MAX) {
      this.session.leave();
      return at;
    }
    if (this.carry.length === 0) this.carry = new Uint8Array(CARRY_BYTES_MAX);
    this.carry.set(bytes.subarray(at, end));
    this.carried = end - at;
    return end;
  }

  private extendCarry(bytes: Uint8Array, at: number, end: number): number {
    const before = this.carried;
    const count = Math.min(end - at, CARRY_BYTES_MAX - before);
    this.carry.set(bytes.subarray(at, at + count), before);
    const next = this.frameEnd(this.carry, 0, before + count);
    this.isWhole = next !== INCOMPLETE;
    this.carried = this.isWhole ? next : before + count;
    if (!this.isWhole && this.carried === CARRY_BYTES_MAX) this.giveAway();
    return at + this.carried - before;
  }

  private takeCarried(): void {
    this.taken = this.parser.feed(this.carry, this.taken, this.carried);
    if (this.session.leaves) this.giveAway();
    if (this.taken < this.carried) return;
    this.carried = 0;
    this.taken = 0;
    this.isWhole = false;
  }

  private giveAway(): void {
    this.session.unread = this.carry.slice(0, this.carried);
    this.session.leave();
  }
}
