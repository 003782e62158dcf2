import {
  type ArithmeticRequest,
  type CommandHandler,
  type FlushRequest,
  type GetRequest,
  KEY_BYTES_MAX,
  type KeyRequest,
  type Parser,
  type Refusal,
  type Request,
  type SaslRequest,
  type StatsRequest,
  type StoreRequest,
  type TouchRequest,
} from './commands.js';
import { OPCODE, type Operation, operationOf } from './opcodes.js';

export const REQUEST_MAGIC = 0x80;
const HEADER_BYTES = 24;
const EXTRAS_BYTES_MAX = 255;
/** Exptime with which an increment of a missing key makes nothing. */
const NO_INITIAL = 0xffffffff;
/** Longest name of a SASL mechanism, which is memcached's limit, and longest message that is kept. */
const MECHANISM_BYTES_MAX = 32;
const MESSAGE_BYTES_MAX = 1024;
const NOTHING = new Uint8Array(0);

/** What the next byte belongs to; `skip` is the rest of a body that nobody wants. */
type State = 'head' | 'value' | 'message' | 'skip' | 'ended';

/** The memcached binary protocol. Header, extras and key are taken together, values as they come. */
export class BinaryParser implements Parser {
  private state: State = 'head';
  /** The begin of a head (header, extras, key) that was cut by the end of the fed bytes. */
  private carry: Uint8Array = NOTHING;
  private carried = 0;
  /** Bytes of the body behind the head that are still to come. */
  private remaining = 0;

  private readonly plain: Request = { opcode: 0, opaque: 0, quiet: false };
  private readonly key: KeyRequest = { ...this.plain, bytes: NOTHING, keyStart: 0, keyEnd: 0, cas: 0n };
  private readonly storeRequest: StoreRequest = {
    ...this.key,
    mode: 'set',
    flags: 0,
    exptime: 0,
    valueBytes: 0,
  };
  private readonly touchRequest: TouchRequest = { ...this.key, exptime: 0 };
  private readonly flushRequest: FlushRequest = { ...this.plain, delay: 0 };
  private readonly statsRequest: StatsRequest = { ...this.plain, topic: '' };
  private readonly arithmeticRequest: ArithmeticRequest = {
    ...this.key,
    decrement: false,
    delta: 0n,
    initial: null,
    exptime: 0,
  };
  private readonly saslRequest: SaslRequest = { ...this.plain, first: true, mechanism: '', message: null };
  /** What has come of a SASL message. */
  private message: Buffer = Buffer.alloc(0);
  private messageBytes = 0;
  private readonly getRequest: GetRequest = {
    ...this.plain,
    bytes: NOTHING,
    ranges: new Uint32Array(2),
    count: 1,
    withCas: true,
    withKey: false,
    exptime: null,
    last: true,
  };

  constructor(private readonly handler: CommandHandler) {}

  get midCommand(): boolean {
    return this.state !== 'head' || this.carried > 0;
  }

  feed(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end && !this.handler.paused) {
      if (this.state === 'head') at = this.takeHead(bytes, at, end);
      else if (this.state === 'value') at = this.takeValue(bytes, at, end);
      else if (this.state === 'message') at = this.takeMessage(bytes, at, end);
      else if (this.state === 'skip') at = this.skipBody(at, end);
      else at = end;
    }
    this.release();
    return at;
  }

  /** Lets go of the bytes that the last requests pointed to. */
  private release(): void {
    for (const request of [this.key, this.storeRequest, this.touchRequest, this.arithmeticRequest]) {
      request.bytes = NOTHING;
    }
    this.getRequest.bytes = NOTHING;
  }

  private takeValue(bytes: Uint8Array, at: number, end: number): number {
    const count = Math.min(this.remaining, end - at);
    this.handler.storeBytes(bytes, at, at + count);
    this.remaining -= count;
    if (this.remaining === 0) this.endValue();
    return at + count;
  }

  private endValue(): void {
    this.state = 'head';
    this.handler.storeEnd(this.storeRequest, true);
  }

  private takeMessage(bytes: Uint8Array, at: number, end: number): number {
    const count = Math.min(this.remaining, end - at);
    const kept = Math.min(count, MESSAGE_BYTES_MAX - this.messageBytes);
    this.message.set(bytes.subarray(at, at + kept), this.messageBytes);
    this.messageBytes += kept;
    this.remaining -= count;
    if (kept < count) this.saslRequest.message = null;
    if (this.remaining === 0) this.endMessage();
    return at + count;
  }

  private endMessage(): void {
    const request = this.saslRequest;
    this.state = 'head';
    if (request.message) request.message = this.message.subarray(0, this.messageBytes);
    this.handler.sasl(request);
    request.message = null;
    this.message.fill(0);
  }

  private skipBody(at: number, end: number): number {
    const count = Math.min(this.remaining, end - at);
    this.remaining -= count;
    if (this.remaining === 0) this.state = 'head';
    return at + count;
  }

  /** Takes a head where it lies, or with what was carried; carries what is too short for one. */
  private takeHead(bytes: Uint8Array, at: number, end: number): number {
    if (this.carried === 0) {
      const needed = this.headBytes(bytes, at, end - at);
      if (this.state === 'ended') return end;
      if (end - at >= needed) {
        this.dispatch(bytes, at);
        return at + needed;
      }
      if (this.carry.length === 0)
        this.carry = new Uint8Array(HEADER_BYTES + EXTRAS_BYTES_MAX + KEY_BYTES_MAX);
    }
    let next = at;
    let needed = this.headBytes(this.carry, 0, this.carried);
    while (next < end && this.carried < needed && this.state === 'head') {
      const count = Math.min(needed - this.carried, end - next);
      this.carry.set(bytes.subarray(next, next + count), this.carried);
      this.carried += count;
      next += count;
      needed = this.headBytes(this.carry, 0, this.carried);
    }
    if (this.state === 'head' && this.carried === needed) {
      this.carried = 0;
      this.dispatch(this.carry, 0);
    }
    return next;
  }

  /**
   * How many bytes the head at `at` has, of which `have` are there: those of the header until that is whole. Ends the
   * parse when it is no request or its lengths contradict each other.
   */
  private headBytes(bytes: Uint8Array, at: number, have: number): number {
    if (have > 0 && bytes[at] !== REQUEST_MAGIC) this.end('magic');
    if (have < HEADER_BYTES || this.state === 'ended') return HEADER_BYTES;
    const keyBytes = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    const extrasBytes = bytes[at + 4]!;
    const bodyBytes = readU32(bytes, at + 8);
    this.tag(this.plain, bytes, at);
    if (this.handler.locked && !operationOf(bytes[at + 1]!)?.open) this.end('locked');
    else if (keyBytes + extrasBytes > bodyBytes) this.end('length');
    else if (keyBytes > KEY_BYTES_MAX) this.end('arguments');
    return HEADER_BYTES + extrasBytes + keyBytes;
  }

  private end(refusal: Refusal): void {
    this.state = 'ended';
    this.handler.refuse(this.plain, refusal);
  }

  private tag(request: Request, bytes: Uint8Array, at: number): void {
    request.opcode = bytes[at + 1]!;
    request.opaque = readU32(bytes, at + 12);
    request.quiet = operationOf(request.opcode)?.quiet ?? false;
  }

  private skip(refusal: Refusal): void {
    this.state = this.remaining > 0 ? 'skip' : 'head';
    this.handler.refuse(this.plain, refusal);
  }

  /** Carries out the request whose whole head begins at `at`. */
  private dispatch(bytes: Uint8Array, at: number): void {
    const keyBytes = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    const extrasBytes = bytes[at + 4]!;
    const operation = operationOf(bytes[at + 1]!);
    this.remaining = readU32(bytes, at + 8) - extrasBytes - keyBytes;
    if (!operation) {
      this.skip('unknown');
      return;
    }
    const fits =
      operation.extras.includes(extrasBytes) &&
      (operation.key === 'optional' || keyBytes > 0 === (operation.key === 'required')) &&
      (operation.kind === 'store' || operation.kind === 'sasl' || this.remaining === 0);
    const keyStart = at + HEADER_BYTES + extrasBytes;
    const keyEnd = keyStart + keyBytes;
    if (!fits) this.end('arguments');
    else if (operation.key === 'required') this.dispatchKeyed(operation, bytes, at, keyStart, keyEnd);
    else this.dispatchPlain(operation, bytes, at, keyStart, keyEnd);
  }

  private dispatchKeyed(
    operation: Operation,
    bytes: Uint8Array,
    at: number,
    keyStart: number,
    keyEnd: number,
  ): void {
    const extras = at + HEADER_BYTES;
    switch (operation.kind) {
      case 'get':
        this.get(operation, bytes, at, keyStart, keyEnd);
        break;
      case 'store':
        this.store(operation, bytes, at, keyStart, keyEnd);
        break;
      case 'touch':
        this.fill(this.touchRequest, bytes, at, keyStart, keyEnd);
        this.touchRequest.exptime = readU32(bytes, extras);
        this.handler.touch(this.touchRequest);
        break;
      case 'arithmetic': {
        const request = this.arithmeticRequest;
        this.fill(request, bytes, at, keyStart, keyEnd);
        request.decrement = operation.decrement;
        request.delta = readU64(bytes, extras);
        request.exptime = readU32(bytes, extras + 16);
        request.initial = request.exptime === NO_INITIAL ? null : readU64(bytes, extras + 8);
        this.handler.arithmetic(request);
        break;
      }
      case 'sasl':
        this.sasl(bytes, at, keyStart, keyEnd);
        break;
      default:
        this.fill(this.key, bytes, at, keyStart, keyEnd);
        this.handler.delete(this.key);
        break;
    }
  }

  private dispatchPlain(
    operation: Operation,
    bytes: Uint8Array,
    at: number,
    keyStart: number,
    keyEnd: number,
  ): void {
    this.tag(this.plain, bytes, at);
    switch (operation.kind) {
      case 'flush':
        this.tag(this.flushRequest, bytes, at);
        this.flushRequest.delay = keyStart > at + HEADER_BYTES ? readU32(bytes, at + HEADER_BYTES) : 0;
        this.handler.flush(this.flushRequest);
        break;
      case 'stats':
        this.tag(this.statsRequest, bytes, at);
        this.statsRequest.topic = String.fromCharCode(...bytes.subarray(keyStart, keyEnd));
        this.handler.stats(this.statsRequest);
        break;
      case 'version':
        this.handler.version(this.plain);
        break;
      case 'mechanisms':
        this.handler.mechanisms(this.plain);
        break;
      case 'noop':
        this.handler.noop(this.plain);
        break;
      default:
        this.state = 'ended';
        this.handler.quit(this.plain);
        break;
    }
  }

  private fill(request: KeyRequest, bytes: Uint8Array, at: number, keyStart: number, keyEnd: number): void {
    this.tag(request, bytes, at);
    request.bytes = bytes;
    request.keyStart = keyStart;
    request.keyEnd = keyEnd;
    request.cas = readU64(bytes, at + 16);
  }

  private get(operation: Operation, bytes: Uint8Array, at: number, keyStart: number, keyEnd: number): void {
    const request = this.getRequest;
    this.tag(request, bytes, at);
    request.bytes = bytes;
    request.ranges[0] = keyStart;
    request.ranges[1] = keyEnd;
    request.withKey = operation.withKey;
    request.exptime = operation.extras[0] === 4 ? readU32(bytes, at + HEADER_BYTES) : null;
    this.handler.get(request);
  }

  private sasl(bytes: Uint8Array, at: number, keyStart: number, keyEnd: number): void {
    this.tag(this.plain, bytes, at);
    if (keyEnd - keyStart > MECHANISM_BYTES_MAX) {
      this.skip('format');
      return;
    }
    const request = this.saslRequest;
    this.tag(request, bytes, at);
    request.first = request.opcode === OPCODE.saslAuth;
    request.mechanism = String.fromCharCode(...bytes.subarray(keyStart, keyEnd));
    if (this.message.length === 0) this.message = Buffer.alloc(MESSAGE_BYTES_MAX);
    request.message = this.message;
    this.messageBytes = 0;
    this.state = 'message';
    if (this.remaining === 0) this.endMessage();
  }

  private store(operation: Operation, bytes: Uint8Array, at: number, keyStart: number, keyEnd: number): void {
    const request = this.storeRequest;
    this.fill(request, bytes, at, keyStart, keyEnd);
    const hasExtras = operation.extras[0] === 8;
    request.flags = hasExtras ? readU32(bytes, at + HEADER_BYTES) : 0;
    request.exptime = hasExtras ? readU32(bytes, at + HEADER_BYTES + 4) : 0;
    request.mode = hasExtras && request.cas !== 0n ? 'cas' : operation.mode;
    request.valueBytes = this.remaining;
    this.state = 'value';
    this.handler.storeBegin(request);
    if (this.remaining === 0) this.endValue();
  }
}

function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

function readU64(bytes: Uint8Array, at: number): bigint {
  const high = readU32(bytes, at);
  const low = readU32(bytes, at + 4);
  if (high === 0) return low === 0 ? 0n : BigInt(low);
  return (BigInt(high) << 32n) | BigInt(low);
}
