import type { Arena } from '../arena.js';
import type { Output } from '../output.js';
import type { ArithmeticRequest, GetRequest, Refusal, Request, TouchRequest } from './commands.js';
import { META_REFUSALS, MetaReplies, metaOf } from './meta-replies.js';
import type { LoginAnswer, Outcome, Replies } from './replies.js';

const OUTCOMES: Record<Outcome, string> = {
  stored: 'STORED\r\n',
  'not-stored': 'NOT_STORED\r\n',
  exists: 'EXISTS\r\n',
  'not-found': 'NOT_FOUND\r\n',
  'no-memory': 'SERVER_ERROR out of memory storing object\r\n',
  'too-large': 'SERVER_ERROR object too large for cache\r\n',
  ok: 'OK\r\n',
  deleted: 'DELETED\r\n',
  reset: 'RESET\r\n',
  'bad-chunk': 'CLIENT_ERROR bad data chunk\r\n',
  'not-numeric': 'CLIENT_ERROR cannot increment or decrement non-numeric value\r\n',
  'no-topic': 'ERROR\r\n',
};

const END = Buffer.from('END\r\n');
const BAD_FORMAT = 'CLIENT_ERROR bad command line format';
const REFUSALS: Record<Refusal, string> = {
  ...META_REFUSALS,
  unknown: 'ERROR\r\n',
  format: `${BAD_FORMAT}\r\n`,
  exptime: 'CLIENT_ERROR invalid exptime argument\r\n',
  delta: 'CLIENT_ERROR invalid numeric delta argument\r\n',
  'delete-usage': `${BAD_FORMAT}.  Usage: delete <key> [noreply]\r\n`,
  'dump-class': 'BADCLASS invalid class id\r\n',
  watch: 'CLIENT_ERROR watch commands not allowed\r\n',
  shutdown: 'ERROR: shutdown not enabled\r\n',
  'memory-small': 'MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n',
  'memory-units': 'MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n',
  'memory-fixed': 'MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n',
  'slabs-fixed': 'CLIENT_ERROR slab reassignment disabled\r\n',
  'lru-fixed': 'CLIENT_ERROR lru tuning not available\r\n',
  'crawler-fixed': 'CLIENT_ERROR lru crawler tuning not available\r\n',
  'stats-detail': 'CLIENT_ERROR usage: stats detail on|off|dump\r\n',
  'stats-cachedump': 'CLIENT_ERROR bad command line\r\n',
  http: '',
  line: 'CLIENT_ERROR line too long\r\n',
  arguments: `${BAD_FORMAT}\r\n`,
  length: `${BAD_FORMAT}\r\n`,
  magic: '',
  unauthenticated: 'CLIENT_ERROR unauthenticated\r\n',
  forbidden: 'CLIENT_ERROR this user may only read\r\n',
  'no-flush': 'CLIENT_ERROR flush_all not allowed\r\n',
  termination: 'CLIENT_ERROR bad command line termination\r\n',
  token: 'CLIENT_ERROR bad authentication token format\r\n',
  locked: 'CLIENT_ERROR unauthenticated\r\n',
};

const LOGIN_ANSWERS: Record<LoginAnswer, string> = {
  mechanisms: '',
  continue: '',
  accepted: 'STORED\r\n',
  denied: 'CLIENT_ERROR authentication failure\r\n',
  throttled: 'SERVER_ERROR too many wrong passwords from this address, try again later\r\n',
};

/** Answers of the text protocol, as memcached 1.6 words them. */
export class TextReplies implements Replies {
  private readonly meta: MetaReplies;

  constructor(
    private readonly output: Output,
    private readonly arena: Arena,
  ) {
    this.meta = new MetaReplies(output, arena);
  }

  hit(request: GetRequest, slot: number): void {
    const { arena, output } = this;
    const valueStart = arena.valueStart(slot);
    const end = valueStart + arena.valueBytes(slot) + 2;
    if (!request.withCas) {
      output.arena(arena.range(arena.textStart(slot), end));
      return;
    }
    output.copy(arena.range(arena.textStart(slot), valueStart - 2));
    output.text(` ${arena.cas(slot)}\r\n`);
    output.arena(arena.range(valueStart, end));
  }

  miss(): void {}

  end(): void {
    this.output.constant(END);
  }

  touched(request: TouchRequest): void {
    if (!request.quiet) this.output.text('TOUCHED\r\n');
  }

  outcome(request: Request, outcome: Outcome, cas: number): void {
    const meta = metaOf(request);
    const isTold = meta ? this.meta.outcome(meta, outcome, cas) : request.quiet;
    if (!isTold) this.output.text(OUTCOMES[outcome]);
  }

  number(request: ArithmeticRequest, value: bigint): void {
    if (!request.quiet) this.output.text(`${value}\r\n`);
  }

  version(_request: Request, version: string): void {
    this.output.text(`VERSION ${version}\r\n`);
  }

  stats(_request: Request, stats: Iterable<readonly [string, string]>): void {
    for (const [name, value] of stats) this.output.text(`STAT ${name} ${value}\r\n`);
    this.output.constant(END);
  }

  lines(_request: Request, lines: readonly string[]): void {
    for (const line of lines) this.output.text(line);
    this.output.constant(END);
  }

  login(_request: Request, answer: LoginAnswer): void {
    this.output.text(LOGIN_ANSWERS[answer]);
  }

  refused(request: Request, refusal: Refusal): void {
    if (!request.quiet) this.output.text(REFUSALS[refusal]);
  }
}
