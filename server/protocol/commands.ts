import type { MetaFlags, MetaHandler, MetaRefusal } from './meta-requests.js';

/**
 * What a protocol parser tells its handler: typed commands, without I/O. Parsers reuse their request objects and point
 * into the bytes they were fed, so a handler may look at a request and its key only until it returns.
 */

/** What the encoder of the answer needs to know of the question. */
export interface Request {
  /** The binary protocol's opcode as it came; 0 in the text protocol. */
  opcode: number;
  /** The binary protocol's opaque, sent back as it came; 0 in the text protocol. */
  opaque: number;
  /** Text `noreply`: no answer at all. Binary quiet opcode: no answer on success (or on a miss of a get). */
  quiet: boolean;
}

/** A request that names one key: `bytes[keyStart, keyEnd)`, 1…250 bytes without spaces and control characters. */
export interface KeyRequest extends Request {
  bytes: Uint8Array;
  keyStart: number;
  keyEnd: number;
  /** The cas unique that the item must have; 0n = any. */
  cas: bigint;
}

/** One or more keys to read: key i is `bytes[ranges[2i], ranges[2i + 1])`. */
export interface GetRequest extends Request {
  bytes: Uint8Array;
  ranges: Uint32Array;
  count: number;
  withCas: boolean;
  /** Whether a binary answer carries the key. */
  withKey: boolean;
  /** The new exptime of the items found, as the client gave it, or null to leave it. */
  exptime: number | null;
  /** Whether the items are to be marked as read, and not to be sent. */
  markOnly?: boolean;
  /** False when more keys of the same command follow in a further request. */
  last: boolean;
}

export type StoreMode = 'set' | 'add' | 'replace' | 'append' | 'prepend' | 'cas';

/** The head of a command that brings a value; the value follows by storeBytes and storeEnd. */
export interface StoreRequest extends KeyRequest {
  mode: StoreMode;
  flags: number;
  /** Seconds as the client gave them: relative up to 30 days, else since 1970; negative = expired already. */
  exptime: number;
  valueBytes: number;
  /** The flags, when it is a meta command's. */
  meta?: MetaFlags;
}

export interface ArithmeticRequest extends KeyRequest {
  decrement: boolean;
  delta: bigint;
  /** The value to make when the key is not there, or null to answer that it is not. */
  initial: bigint | null;
  /** Exptime of an item that `initial` makes. */
  exptime: number;
}

export interface TouchRequest extends KeyRequest {
  exptime: number;
}

export interface FlushRequest extends Request {
  /** Seconds from now, or since 1970 when more than 30 days; 0 or less = at once. */
  delay: number;
}

export interface StatsRequest extends Request {
  /** The words behind the command's name, a blank between two: ``, `reset`, `detail on`, `volley`… */
  topic: string;
}

export interface DumpRequest extends Request {
  /** The size classes to tell of, counted from 1; null = all. */
  classes: ReadonlySet<number> | null;
}

/** Transports by which a region is read without the node's doing. */
export const ONE_SIDED = ['local', 'fabric'] as const;
export type OneSided = (typeof ONE_SIDED)[number];

/** What a client has read one-sidedly. */
export interface ReadsRequest extends Request {
  transport: OneSided;
  /** Values, and their bytes. */
  chunks: number;
  bytes: number;
}

export interface VerbosityRequest extends Request {
  level: number;
}

/** User and password, as they came by the text protocol. */
export interface LoginRequest extends Request {
  user: Uint8Array;
  password: Uint8Array;
}

/** A message of the binary protocol's SASL authentication. */
export interface SaslRequest extends Request {
  /** Whether it begins an authentication, rather than going on with one. */
  first: boolean;
  mechanism: string;
  /** Empty when the client waits to be asked for it; null when it was too long to be kept. */
  message: Uint8Array | null;
}

/** Why a parser refuses a command. The parser has skipped what belongs to the command and goes on behind it. */
export type Refusal =
  | MetaRefusal
  | OperatorRefusal
  | 'unknown' // no such command, or a wrong number of words
  | 'format' // a key or number is not acceptable
  | 'exptime' // a touch's exptime is no number
  | 'delta' // an incr's delta is no number
  | 'delete-usage' // a delete with words that mean nothing
  | 'arguments' // binary: lengths that do not fit the opcode; the connection ends
  | 'length' // binary: key and extras are longer than the body; the connection ends
  | 'line' // a line beyond the limit; the connection ends
  | 'unauthenticated' // text: something other than the set that authenticates
  | 'termination' // text: a value that authenticates and does not end with CR LF
  | 'token' // text: a value that authenticates and is not user and password
  | 'locked' // what is for authenticated clients alone; the connection ends
  | 'forbidden' // the user may only read
  | 'no-flush' // flush_all is switched off
  | 'http' // text: an HTTP request; the connection ends without a word
  | 'magic'; // binary: not a request; the connection ends without a word

/** Why a command that operates the server, and touches no item, is refused. */
export type OperatorRefusal =
  | 'dump-class' // of something other than `all`, `hash` or size classes
  | 'watch' // there is no log to watch
  | 'shutdown' // a node is stopped by its operator
  | 'memory-small' // cache_memlimit below memcached's limit
  | 'memory-units' // …in bytes, it seems
  | 'memory-fixed' // the region cannot be resized
  | 'slabs-fixed' // pages of the arena move by themselves
  | 'lru-fixed' // no tuning of what there is not
  | 'crawler-fixed' // the sweeper cannot be stopped or slowed
  | 'stats-detail' // how to use it
  | 'stats-cachedump'; // it wants a size class and a number of items

export interface CommandHandler {
  /** While true the parser stops before the next command, and feed() returns early. */
  readonly paused: boolean;
  /** While true, what is not part of an authentication has to be refused (but for binary `version`). */
  readonly locked: boolean;
  readonly meta: MetaHandler;
  get(request: GetRequest): void;
  storeBegin(request: StoreRequest): void;
  /** The next bytes of the value: `bytes[start, end)`. */
  storeBytes(bytes: Uint8Array, start: number, end: number): void;
  /** The value is complete. `intact` is false when a text value does not end with CR LF. */
  storeEnd(request: StoreRequest, intact: boolean): void;
  delete(request: KeyRequest): void;
  arithmetic(request: ArithmeticRequest): void;
  touch(request: TouchRequest): void;
  flush(request: FlushRequest): void;
  stats(request: StatsRequest): void;
  dump(request: DumpRequest): void;
  /** Takes down what a client has read one-sidedly. */
  reads(request: ReadsRequest): void;
  /** Looks for dead items now. */
  sweep(request: Request): void;
  /** Reads the certificates anew. */
  refreshCertificates(request: Request): void;
  version(request: Request): void;
  verbosity(request: VerbosityRequest): void;
  noop(request: Request): void;
  quit(request: Request): void;
  login(request: LoginRequest): void;
  mechanisms(request: Request): void;
  sasl(request: SaslRequest): void;
  refuse(request: Request, refusal: Refusal): void;
}

/** What all parsers have in common. */
export interface Parser {
  /**
   * Takes `bytes[start, end)` and calls the handler for what is in it. Returns where it stopped: `end`, or less when
   * the handler paused; then the rest must be fed again once it no longer does. Keeps no reference to `bytes`.
   */
  feed(bytes: Uint8Array, start: number, end: number): number;
  /** Whether a command has begun and waits for more bytes. */
  readonly midCommand: boolean;
}

export const KEY_BYTES_MAX = 250;
/** Longest value that can be announced; memcached's limit. Whether it can be stored is the handler's business. */
export const VALUE_BYTES_MAX = 2 ** 31 - 3;

/** Whether `bytes[start, end)` may be a key of the text protocol: 1…250 bytes, no space, no control character. */
export function isKey(bytes: Uint8Array, start: number, end: number): boolean {
  if (end <= start || end - start > KEY_BYTES_MAX) return false;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte <= 0x20 || byte === 0x7f) return false;
  }
  return true;
}
