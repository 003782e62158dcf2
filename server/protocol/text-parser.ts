import {
  type CommandHandler,
  type GetRequest,
  isKey,
  KEY_BYTES_MAX,
  type Parser,
  type Refusal,
} from './commands.js';
import { findCommand, type RetrievalKind, TextCommands } from './text-commands.js';
import { parseInteger } from './text-words.js';

/** Longest line, without its LF, of a command that is no retrieval; memcached's limit. */
export const LINE_BYTES_MAX = 2048;
/** A retrieval's line has no limit; it is taken in segments of at most this many bytes, cut between keys… */
export const SEGMENT_BYTES_MAX = 16_384;
/** …and at most this many keys, so that a line of any length needs little memory and output can hold it up. */
export const SEGMENT_KEYS_MAX = 256;

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const NOTHING = new Uint8Array(0);
/** Where the keys of the segment at hand stand: one for all parsers, for a retrieval is carried out before the next byte. */
const RANGES = new Uint32Array(2 * SEGMENT_KEYS_MAX);

/** What the next byte belongs to. */
type State = 'line' | 'keys' | 'skip' | 'value' | 'tail' | 'swallow' | 'ended';

/**
 * The classic memcached text protocol: frames lines, the long lines of retrievals, and values. What it hands on does not
 * depend on how the bytes were cut when they were fed.
 */
export class TextParser implements Parser {
  private state: State = 'line';
  /** The begin of a line that was cut by the end of the fed bytes, with its LF once that has come. */
  private carry: Uint8Array = NOTHING;
  private carried = 0;
  /** Bytes of the value, then of its CR LF, that are still to come. */
  private remaining = 0;
  private intact = true;
  /** Of the retrieval at hand: whether its next word is an exptime, and whether it has been more than a bare word. */
  private exptimeAwaited = false;
  private wordSeen = false;

  private readonly commands: TextCommands;
  private readonly getRequest: GetRequest = {
    opcode: 0,
    opaque: 0,
    quiet: false,
    bytes: NOTHING,
    ranges: RANGES,
    count: 0,
    withCas: false,
    withKey: true,
    exptime: null,
    last: true,
  };

  constructor(private readonly handler: CommandHandler) {
    this.commands = new TextCommands(handler);
  }

  get midCommand(): boolean {
    return this.state !== 'line' || this.carried > 0;
  }

  feed(bytes: Uint8Array, start: number, end: number): number {
    const stopped = this.parse(bytes, start, end);
    this.commands.release();
    this.getRequest.bytes = NOTHING;
    return stopped;
  }

  private parse(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (!this.handler.paused) {
      if (this.state === 'ended') return end;
      if (this.carried > 0) {
        at = this.extendCarry(bytes, at, end);
        if (!this.takeCarry()) return at;
      } else {
        if (at === end) return at;
        if (this.state === 'value') at = this.takeValue(bytes, at, end);
        else if (this.state === 'tail') at = this.takeTail(bytes, at);
        else if (this.state === 'swallow') at = this.swallow(at, end);
        else if (this.state === 'skip') at = this.skipLine(bytes, at, end);
        else at = this.takeFed(bytes, at, end);
      }
    }
    return at;
  }

  private takeValue(bytes: Uint8Array, at: number, end: number): number {
    const count = Math.min(this.remaining, end - at);
    this.handler.storeBytes(bytes, at, at + count);
    this.remaining -= count;
    if (this.remaining === 0) this.beginTail();
    return at + count;
  }

  private beginTail(): void {
    this.state = 'tail';
    this.remaining = 2;
    this.intact = true;
  }

  private takeTail(bytes: Uint8Array, at: number): number {
    if (bytes[at] !== (this.remaining === 2 ? CR : LF)) this.intact = false;
    this.remaining--;
    if (this.remaining === 0) {
      this.state = 'line';
      this.handler.storeEnd(this.commands.storing, this.intact);
    }
    return at + 1;
  }

  /** Throws the value of a refused store away. */
  private swallow(at: number, end: number): number {
    const count = Math.min(this.remaining, end - at);
    this.remaining -= count;
    if (this.remaining === 0) this.state = 'line';
    return at + count;
  }

  private skipLine(bytes: Uint8Array, at: number, end: number): number {
    const next = behindLineFeed(bytes, at, end);
    if (next < 0) return end;
    this.state = 'line';
    return next;
  }

  /** Takes a line, or a segment of one, where it lies; what is too short for either is carried to the next feed. */
  private takeFed(bytes: Uint8Array, at: number, end: number): number {
    const next = behindLineFeed(bytes, at, end);
    const to = Math.min(next < 0 ? end : next, at + SEGMENT_BYTES_MAX);
    if (to === next || to === at + SEGMENT_BYTES_MAX) return at + this.takeLine(bytes, at, to, to === next);
    if (this.endsTooLong(bytes, at, end)) return end;
    if (this.carry.length === 0) this.carry = new Uint8Array(SEGMENT_BYTES_MAX);
    this.carry.set(bytes.subarray(at, end));
    this.carried = end - at;
    return end;
  }

  private extendCarry(bytes: Uint8Array, at: number, end: number): number {
    if (this.carry[this.carried - 1] === LF || at === end) return at;
    const next = behindLineFeed(bytes, at, end);
    const to = Math.min(next < 0 ? end : next, at + SEGMENT_BYTES_MAX - this.carried);
    this.carry.set(bytes.subarray(at, to), this.carried);
    this.carried += to - at;
    return to;
  }

  /** Takes the carried line, or a segment of it; false when more bytes are needed. */
  private takeCarry(): boolean {
    const complete = this.carry[this.carried - 1] === LF;
    if (!complete && this.carried < SEGMENT_BYTES_MAX) return this.endsTooLong(this.carry, 0, this.carried);
    const taken = this.takeLine(this.carry, 0, this.carried, complete);
    this.carry.copyWithin(0, taken, this.carried);
    this.carried -= taken;
    return true;
  }

  /** Ends the parse when `bytes[from, to)`, the begin of a line, is more than any line may have. */
  private endsTooLong(bytes: Uint8Array, from: number, to: number): boolean {
    if (this.state !== 'line' || to - from <= LINE_BYTES_MAX || isRetrieval(bytes, from, to)) return false;
    this.state = 'ended';
    this.carried = 0;
    this.handler.refuse(this.commands.plain, 'line');
    return true;
  }

  /**
   * Takes `bytes[from, to)`: a line with its LF when `complete`, else a segment that is followed by more of the line.
   * Returns how many bytes are done with.
   */
  private takeLine(bytes: Uint8Array, from: number, to: number, complete: boolean): number {
    let textEnd = complete ? to - 1 : to;
    if (this.endsTooLong(bytes, from, textEnd)) return 0;
    if (complete && textEnd > from && bytes[textEnd - 1] === CR) textEnd--;
    let next = from;
    if (this.state === 'line') {
      const wordStart = skipSpaces(bytes, from, textEnd);
      next = skipWord(bytes, wordStart, textEnd);
      const command = findCommand(bytes, wordStart, next);
      if (!command?.retrieval) {
        const sequel = this.commands.run(command, bytes, wordStart, textEnd);
        if (sequel === 'value') this.beginValue();
        else if (sequel === 'swallow') this.beginSwallowing();
        else if (sequel === 'end') this.state = 'ended';
        return to - from;
      }
      this.beginKeys(command.retrieval);
    }
    const stopped = this.takeKeys(bytes, next, textEnd, complete);
    return stopped < 0 ? to - from : stopped - from;
  }

  private beginValue(): void {
    this.remaining = this.commands.storing.valueBytes;
    if (this.remaining === 0) this.beginTail();
    else this.state = 'value';
  }

  private beginSwallowing(): void {
    this.remaining = this.commands.storing.valueBytes + 2;
    this.state = 'swallow';
  }

  private beginKeys(kind: RetrievalKind): void {
    this.state = 'keys';
    this.wordSeen = false;
    this.exptimeAwaited = kind.touch;
    this.getRequest.withCas = kind.withCas;
    this.getRequest.markOnly = kind.markOnly ?? false;
    this.getRequest.exptime = null;
  }

  /**
   * Hands on the keys in `bytes[at, textEnd)`, which ends the line when `complete`. Returns where it stopped, or -1 when
   * all of it is done with.
   */
  private takeKeys(bytes: Uint8Array, at: number, textEnd: number, complete: boolean): number {
    const request = this.getRequest;
    request.bytes = bytes;
    request.count = 0;
    let next = skipSpaces(bytes, at, textEnd);
    while (next < textEnd && request.count < SEGMENT_KEYS_MAX) {
      const start = next;
      next = skipWord(bytes, start, textEnd);
      if (next === textEnd && !complete && next - start <= KEY_BYTES_MAX) {
        next = start; // the word may go on behind the cut
        break;
      }
      const refusal = this.takeKeysWord(bytes, start, next);
      if (refusal) {
        this.state = complete ? 'line' : 'skip';
        this.handler.refuse(this.commands.plain, refusal);
        return -1;
      }
      next = skipSpaces(bytes, next, textEnd);
    }
    request.last = complete && next === textEnd;
    if (request.last) this.endKeys();
    else if (request.count > 0) this.handler.get(request);
    return request.last ? -1 : next;
  }

  private takeKeysWord(bytes: Uint8Array, start: number, end: number): Refusal | null {
    const request = this.getRequest;
    this.wordSeen = true;
    if (this.exptimeAwaited) {
      this.exptimeAwaited = false;
      request.exptime = parseInteger(bytes, start, end);
      return Number.isNaN(request.exptime) ? 'exptime' : null;
    }
    if (!isKey(bytes, start, end)) return 'format';
    request.ranges[2 * request.count] = start;
    request.ranges[2 * request.count + 1] = end;
    request.count++;
    return null;
  }

  private endKeys(): void {
    this.state = 'line';
    if (this.wordSeen) this.handler.get(this.getRequest);
    else this.handler.refuse(this.commands.plain, 'unknown');
  }
}

/** Whether a line that is longer than LINE_BYTES_MAX begins like a retrieval. */
function isRetrieval(bytes: Uint8Array, from: number, to: number): boolean {
  const start = skipSpaces(bytes, from, to);
  let end = start;
  while (end < to && end - start < 5 && bytes[end] !== SPACE) end++;
  return bytes[end] === SPACE && findCommand(bytes, start, end)?.retrieval !== undefined;
}

function skipSpaces(bytes: Uint8Array, at: number, end: number): number {
  let next = at;
  while (next < end && bytes[next] === SPACE) next++;
  return next;
}

function skipWord(bytes: Uint8Array, at: number, end: number): number {
  let next = at;
  while (next < end && bytes[next] !== SPACE) next++;
  return next;
}

/** Where the byte behind the next LF is, or -1 when there is none before `end`. */
function behindLineFeed(bytes: Uint8Array, at: number, end: number): number {
  const index = bytes.indexOf(LF, at);
  return index < 0 || index >= end ? -1 : index + 1;
}
