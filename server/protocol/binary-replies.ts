import type { Arena } from '../arena.js';
import type { Output } from '../output.js';
import type { ArithmeticRequest, GetRequest, Refusal, Request, TouchRequest } from './commands.js';
import { OPCODE } from './opcodes.js';
import type { LoginAnswer, Outcome, Replies } from './replies.js';

const RESPONSE_MAGIC = 0x81;
const HEADER_BYTES = 24;
const FLAGS_BYTES = 4;

type Status = readonly [code: number, text: string];

const SUCCESS = 0;
const NOT_FOUND: Status = [0x01, 'Not found'];
const EXISTS: Status = [0x02, 'Data exists for key.'];
const TOO_LARGE: Status = [0x03, 'Too large.'];
const INVALID: Status = [0x04, 'Invalid arguments'];
const NOT_STORED: Status = [0x05, 'Not stored.'];
const NOT_NUMERIC: Status = [0x06, 'Non-numeric server-side value for incr or decr'];
const AUTH_ERROR: Status = [0x20, 'Auth failure.'];
const AUTH_CONTINUE: Status = [0x21, ''];
/** Couchbase's EACCES; memcached knows no rights. */
const NO_ACCESS: Status = [0x24, 'No access.'];
const UNKNOWN_COMMAND: Status = [0x81, 'Unknown command'];
const NO_MEMORY: Status = [0x82, 'Out of memory allocating item'];

/** Status by outcome, for those that are no success. */
const FAILURES: Partial<Record<Outcome, Status>> = {
  'not-stored': NOT_STORED,
  exists: EXISTS,
  'not-found': NOT_FOUND,
  'no-memory': NO_MEMORY,
  'too-large': TOO_LARGE,
  'bad-chunk': INVALID,
  'not-numeric': NOT_NUMERIC,
  'no-topic': NOT_FOUND,
};

const LOGIN_ANSWERS: Record<LoginAnswer, Status> = {
  mechanisms: [SUCCESS, 'PLAIN'],
  continue: AUTH_CONTINUE,
  accepted: [SUCCESS, 'Authenticated'],
  denied: AUTH_ERROR,
  throttled: AUTH_ERROR,
};

/** Answers of the binary protocol. */
export class BinaryReplies implements Replies {
  constructor(
    private readonly output: Output,
    private readonly arena: Arena,
  ) {}

  hit(request: GetRequest, slot: number): void {
    const { arena, output } = this;
    const valueBytes = arena.valueBytes(slot);
    const key = request.withKey ? arena.key(slot) : null;
    this.itemHead(request, slot, key?.length ?? 0, valueBytes);
    if (key) output.copy(key);
    const start = arena.valueStart(slot);
    output.arena(arena.range(start, start + valueBytes));
  }

  miss(request: GetRequest, index: number): void {
    if (request.quiet) return;
    if (!request.withKey) {
      this.say(request, NOT_FOUND);
      return;
    }
    const key = request.bytes.subarray(request.ranges[2 * index], request.ranges[2 * index + 1]);
    this.head(request, NOT_FOUND[0], 0, key.length, 0, 0);
    this.output.copy(key);
  }

  end(): void {}

  touched(request: TouchRequest, slot: number): void {
    this.itemHead(request, slot, 0, 0);
  }

  outcome(request: Request, outcome: Outcome, cas: number): void {
    const failure = FAILURES[outcome];
    if (failure) this.say(request, outcome === 'not-stored' ? notStoredStatus(request) : failure);
    else if (outcome === 'reset') this.stats(request, []);
    else if (!request.quiet) this.head(request, SUCCESS, 0, 0, 0, cas);
  }

  number(request: ArithmeticRequest, value: bigint, cas: number): void {
    if (request.quiet) return;
    this.head(request, SUCCESS, 0, 0, 8, cas);
    this.output.room(8).writeBigUInt64BE(value);
  }

  version(request: Request, version: string): void {
    this.head(request, SUCCESS, 0, 0, version.length, 0);
    this.output.text(version);
  }

  stats(request: Request, stats: Iterable<readonly [string, string]>): void {
    for (const [name, value] of stats) {
      this.head(request, SUCCESS, 0, name.length, value.length, 0);
      this.output.text(name + value);
    }
    this.head(request, SUCCESS, 0, 0, 0, 0);
  }

  lines(request: Request, lines: readonly string[]): void {
    const end = 'END\r\n';
    const name = 'detailed';
    const bytes = lines.reduce((sum, line) => sum + line.length, end.length);
    this.head(request, SUCCESS, 0, name.length, bytes, 0);
    for (const text of [name, ...lines, end]) this.output.text(text);
    this.head(request, SUCCESS, 0, 0, 0, 0);
  }

  login(request: Request, answer: LoginAnswer): void {
    this.say(request, LOGIN_ANSWERS[answer]);
  }

  refused(request: Request, refusal: Refusal): void {
    if (refusal === 'magic') return;
    // memcached answers a flush that is switched off as it does what is not authenticated.
    if (refusal === 'locked' || refusal === 'no-flush') this.say(request, AUTH_ERROR);
    else if (refusal === 'forbidden') this.say(request, NO_ACCESS);
    else if (refusal === 'stats-detail') this.say(request, NOT_FOUND);
    else this.say(request, refusal === 'unknown' || refusal === 'length' ? UNKNOWN_COMMAND : INVALID);
  }

  /** An answer that is a status and words. */
  private say(request: Request, [code, text]: Status): void {
    this.head(request, code, 0, 0, text.length, 0);
    this.output.text(text);
  }

  /** A header and the item's flags, for an answer that goes on with `keyBytes` of key and `valueBytes` of value. */
  private itemHead(request: Request, slot: number, keyBytes: number, valueBytes: number): void {
    this.head(request, SUCCESS, FLAGS_BYTES, keyBytes, valueBytes, this.arena.cas(slot));
    this.output.room(FLAGS_BYTES).writeUInt32BE(this.arena.flags(slot));
  }

  private head(
    request: Request,
    status: number,
    extrasBytes: number,
    keyBytes: number,
    valueBytes: number,
    cas: number,
  ): void {
    const header = this.output.room(HEADER_BYTES);
    header[0] = RESPONSE_MAGIC;
    header[1] = request.opcode;
    header.writeUInt16BE(keyBytes, 2);
    header[4] = extrasBytes;
    header[5] = 0;
    header.writeUInt16BE(status, 6);
    header.writeUInt32BE(extrasBytes + keyBytes + valueBytes, 8);
    header.writeUInt32BE(request.opaque, 12);
    header.writeUInt32BE(Math.floor(cas / 2 ** 32), 16);
    header.writeUInt32BE(cas >>> 0, 20);
  }
}

/** What the binary protocol says when an add finds the key, or a replace does not. */
function notStoredStatus(request: Request): Status {
  if (request.opcode === OPCODE.add || request.opcode === OPCODE.addQ) return EXISTS;
  if (request.opcode === OPCODE.replace || request.opcode === OPCODE.replaceQ) return NOT_FOUND;
  return NOT_STORED;
}
