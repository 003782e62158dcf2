import * as assert from 'node:assert/strict';
import {
  type ArithmeticRequest,
  type CommandHandler,
  type DumpRequest,
  type FlushRequest,
  type GetRequest,
  isKey,
  KEY_BYTES_MAX,
  type KeyRequest,
  type LoginRequest,
  type ReadsRequest,
  type Refusal,
  type Request,
  type SaslRequest,
  type StatsRequest,
  type StoreRequest,
  type TouchRequest,
  VALUE_BYTES_MAX,
  type VerbosityRequest,
} from '../../server/protocol/commands.js';
import { FLAGS_MAX, type MetaFlags, type MetaHandler } from '../../server/protocol/meta-requests.js';
import { SEGMENT_KEYS_MAX } from '../../server/protocol/text-parser.js';

const U32_MAX = 0xffffffff;
const U64_MAX = 0xffffffffffffffffn;
const OPAQUE_BYTES_MAX = 32;
/** Refusals behind which a parser may hand on nothing more. */
const FATAL: ReadonlySet<Refusal> = new Set<Refusal>([
  'arguments',
  'http',
  'length',
  'line',
  'locked',
  'magic',
]);

/** Writes down every command that a parser hands on, and fails on one that a handler could not bear. */
export class CommandLog implements CommandHandler {
  /** One line per command; the bytes of a value are one entry, however they came. */
  readonly entries: string[] = [];
  paused = false;
  locked: boolean;
  readonly meta: MetaHandler;
  private ended = false;
  /** Bytes of the value under way that have not come yet, or null between commands. */
  private valueBytesLeft: number | null = null;

  /**
   * @param keys what a key may be: that of the text protocol, or any bytes
   * @param pauses whether to pause behind every command, as a session does whose client reads slowly
   */
  constructor(
    private readonly keys: 'text' | 'any',
    private readonly pauses: boolean,
    locked = false,
  ) {
    this.locked = locked;
    this.meta = {
      get: (request) => this.keyed('mg', request, flagsOf(request.meta), request.meta),
      delete: (request) => this.keyed('md', request, flagsOf(request.meta), request.meta),
      arithmetic: (request) =>
        this.keyed('ma', request, `${countOf(request, true)} ${flagsOf(request.meta)}`, request.meta),
      debug: (request) => this.keyed('me', request, flagsOf(request.meta), request.meta),
      noop: (request) => this.note('mn', request),
    };
  }

  private note(name: string, request: Request, rest = ''): void {
    assert.ok(!this.ended, `${name} behind the end`);
    assert.equal(this.valueBytesLeft, null, `${name} in the midst of a value`);
    this.entries.push(`${name} ${request.opcode} ${request.opaque} ${request.quiet} ${rest}`);
    if (this.pauses) this.paused = true;
  }

  private keyed(name: string, request: KeyRequest, rest: string, meta?: MetaFlags): void {
    assert.ok(!this.locked, `${name} before the login`);
    const key = this.keyOf(request.bytes, request.keyStart, request.keyEnd, meta?.binaryKey);
    assert.ok(request.cas >= 0n && request.cas <= U64_MAX, 'cas');
    this.note(name, request, `${key} ${request.cas} ${rest}`);
  }

  private keyOf(bytes: Uint8Array, start: number, end: number, isDecoded = false): string {
    assert.ok(start >= 0 && end <= bytes.length, 'a key outside of its bytes');
    assert.ok(end > start && end - start <= KEY_BYTES_MAX, `a key of ${end - start} bytes`);
    if (this.keys === 'text' && !isDecoded) assert.ok(isKey(bytes, start, end), 'a key that is none');
    return Buffer.from(bytes.subarray(start, end)).toString('latin1');
  }

  get(request: GetRequest): void {
    assert.ok(!this.locked, 'get before the login');
    assert.ok(request.count >= 0 && request.count <= SEGMENT_KEYS_MAX, `${request.count} keys`);
    if (request.exptime !== null) assert.ok(Number.isSafeInteger(request.exptime), 'exptime');
    const keys: string[] = [];
    for (let i = 0; i < request.count; i++) {
      keys.push(this.keyOf(request.bytes, request.ranges[2 * i]!, request.ranges[2 * i + 1]!));
    }
    const { withCas, withKey, exptime, last } = request;
    this.note('get', request, `${withCas} ${withKey} ${exptime} ${last} ${keys.join(' ')}`);
  }

  storeBegin(request: StoreRequest): void {
    const { valueBytes, flags, exptime, mode, meta } = request;
    assert.ok(
      Number.isInteger(valueBytes) && valueBytes >= 0 && valueBytes <= U32_MAX,
      `${valueBytes} bytes`,
    );
    if (this.keys === 'text') assert.ok(valueBytes <= VALUE_BYTES_MAX, `${valueBytes} bytes`);
    assert.ok(Number.isInteger(flags) && flags >= 0 && flags <= U32_MAX, `flags ${flags}`);
    assert.ok(Number.isSafeInteger(exptime), `exptime ${exptime}`);
    this.keyed(
      'store',
      request,
      `${mode} ${flags} ${exptime} ${valueBytes} ${meta ? flagsOf(meta) : ''}`,
      meta,
    );
    this.valueBytesLeft = valueBytes;
    this.entries.push('');
  }

  storeBytes(bytes: Uint8Array, start: number, end: number): void {
    assert.ok(start >= 0 && start < end && end <= bytes.length, 'a piece of a value outside of its bytes');
    assert.ok(
      this.valueBytesLeft !== null && end - start <= this.valueBytesLeft,
      'more bytes than announced',
    );
    this.valueBytesLeft -= end - start;
    this.entries[this.entries.length - 1] += Buffer.from(bytes.subarray(start, end)).toString('latin1');
  }

  storeEnd(request: StoreRequest, intact: boolean): void {
    assert.equal(this.valueBytesLeft, 0, 'a value that ends too early');
    this.valueBytesLeft = null;
    const rest = `${request.mode} ${request.cas} ${intact}`;
    // Only a meta command's answer tells the key, so only there does it outlive the line.
    if (request.meta) this.keyed('stored', request, rest, request.meta);
    else this.note('stored', request, rest);
  }

  delete(request: KeyRequest): void {
    this.keyed('delete', request, '');
  }

  arithmetic(request: ArithmeticRequest): void {
    this.keyed('arithmetic', request, countOf(request));
  }

  touch(request: TouchRequest): void {
    assert.ok(Number.isSafeInteger(request.exptime), 'exptime');
    this.keyed('touch', request, `${request.exptime}`);
  }

  flush(request: FlushRequest): void {
    assert.ok(Number.isSafeInteger(request.delay), 'delay');
    this.open('flush', request, `${request.delay}`);
  }

  stats(request: StatsRequest): void {
    this.open('stats', request, request.topic);
  }

  dump(request: DumpRequest): void {
    this.open('dump', request, request.classes ? [...request.classes].join() : 'all');
  }

  reads(request: ReadsRequest): void {
    assert.ok(request.chunks >= 0 && request.bytes >= 0, 'counts');
    this.open('reads', request, `${request.transport} ${request.chunks} ${request.bytes}`);
  }

  sweep(request: Request): void {
    this.open('sweep', request);
  }

  refreshCertificates(request: Request): void {
    this.open('refresh_certs', request);
  }

  verbosity(request: VerbosityRequest): void {
    assert.ok(request.level >= 0, 'level');
    this.open('verbosity', request, `${request.level}`);
  }

  noop(request: Request): void {
    this.open('noop', request);
  }

  private open(name: string, request: Request, rest = ''): void {
    assert.ok(!this.locked, `${name} before the login`);
    this.note(name, request, rest);
  }

  version(request: Request): void {
    this.note('version', request);
  }

  quit(request: Request): void {
    this.note('quit', request);
    this.ended = true;
  }

  login(request: LoginRequest): void {
    const { user, password } = request;
    assert.ok(user.length > 0 && password.length > 0, 'a login without a name');
    this.note(
      'login',
      request,
      `${Buffer.from(user).toString('hex')} ${Buffer.from(password).toString('hex')}`,
    );
    this.locked = false;
  }

  mechanisms(request: Request): void {
    this.note('mechanisms', request);
  }

  sasl(request: SaslRequest): void {
    const { first, mechanism, message } = request;
    const text = message ? Buffer.from(message).toString('hex') : 'too long';
    this.note('sasl', request, `${first} ${mechanism} ${text}`);
  }

  refuse(request: Request, refusal: Refusal): void {
    this.note('refuse', request, refusal);
    this.ended = FATAL.has(refusal);
  }
}

function countOf({ delta, initial, exptime, decrement }: ArithmeticRequest, isMeta = false): string {
  assert.ok(delta >= 0n && delta <= U64_MAX, 'delta');
  assert.ok(initial === null || (initial >= 0n && initial <= U64_MAX), 'initial');
  assert.ok(isMeta || Number.isSafeInteger(exptime), 'exptime');
  return `${decrement} ${delta} ${initial} ${exptime}`;
}

function flagsOf(meta: MetaFlags): string {
  assert.ok(meta.count <= FLAGS_MAX, `${meta.count} flags`);
  assert.ok(meta.opaque.length <= OPAQUE_BYTES_MAX, 'a long opaque');
  for (const seconds of [meta.exptime, meta.vivify, meta.recache]) {
    assert.ok(seconds === null || Number.isSafeInteger(seconds), `exptime ${seconds}`);
  }
  const codes = Buffer.from(meta.codes.subarray(0, meta.count)).toString('latin1');
  assert.equal(new Set(codes).size, codes.length, 'a flag twice');
  return JSON.stringify({ ...meta, codes });
}
