import type { RemoteRegion } from './fabric.js';
import type { GuestMemory } from './guest-memory.js';
import type { LocalRegion } from './region.js';

/** Where a reader gets chunks from. `host` must be an IP address. */
export type ReaderPath =
  | { kind: 'local'; region: LocalRegion }
  | { kind: 'fabric'; region: RemoteRegion }
  /** `greeting` (at most 1024 bytes) is sent first on each connection; the node has to answer it with `STORED`. */
  | { kind: 'tcp'; host: string; port: number; greeting?: Uint8Array }
  | FakePath;

/** For tests: a region behind a way that goes wrong as told. See docs/architecture.md, "The fake transport". */
export interface FakePath {
  kind: 'fake';
  region: LocalRegion;
  /** Chooses delays, the order of completions, where data is torn, and the garbage that lands meanwhile. */
  seed: number;
  /**
   * 24 bytes per chunk that meets faults: its digest (16), then a byte for each of the first 8 attempts at it: an index
   * into FAULTS, plus FAULT_LATE, plus FAULT_TWICE.
   */
  faults: Uint8Array;
}

export const FAULTS = [
  'none',
  'missing', // the entry is stale: the chunk is gone
  'length', // the entry is stale: it tells another length
  'bounds', // the entry points outside the arena
  'reused', // the slot holds another item by now
  'torn', // part of the data is another item's
  'never', // no completion comes
  'connection', // the way breaks
  'protocol', // the peer answers nonsense
] as const;
export type Fault = (typeof FAULTS)[number];
/** The completion comes long after those of later reads. */
export const FAULT_LATE = 0x40;
/** The completion comes once more after a while. */
export const FAULT_TWICE = 0x80;

export interface ReaderOptions {
  destination: GuestMemory;
  /** Where in the destination the image's first byte lands. */
  destinationOffset: number;
  imageBytes: number;
  chunkBytes: number;
  /** The manifest's body: 24 bytes per chunk, digest (16) and XXH3 (8); all zeros for a zero chunk. */
  records: Uint8Array;
  /** Per chunk an index into `paths`, or SKIP, or ZERO. */
  sources: Uint16Array;
  paths: ReaderPath[];
  /** A chunk's key is this followed by the digest in hex. */
  keyPrefix: string;
  /** Whether the destination is known to hold zeros, so that zero chunks need no writing. Default false. */
  destinationIsZero?: boolean;
  /** Default: one per core, at most 4; half as many when no path is `local`. */
  threads?: number;
  /**
   * Chunks in flight per path and thread. Default: 6 MiB, from 4 to 256; over a fabric 512 KiB or 16, whichever is more, and
   * no more than the device lets be outstanding.
   */
  window?: number;
  /** Milliseconds for which a path may bring neither a chunk nor 4 KiB. */
  readTimeoutMs?: number;
  /** How often a chunk is read again after a failed verification. */
  retries?: number;
  /**
   * Whether each thread has another one verify what it has read. Default: where a fabric's device fills memory that was
   * registered with it, for images of 4 MiB and more, if there is a core for each.
   */
  verifyBeside?: boolean;
}

export const SOURCE_ZERO = 0xffff;
export const SOURCE_SKIP = 0xfffe;

/** Why a chunk could not be read; index into ReaderResult.failures' reason. */
export const FAILURE_REASONS = [
  'none',
  'missing', // the node does not have it
  'checksum', // what came is not what the manifest says
  'length', // the entry or the answer tells another length
  'bounds', // the entry points outside the arena
  'timeout', // no answer within the deadline
  'connection', // refused, reset or closed
  'protocol', // the peer answered something else
  'canceled',
] as const;
export type FailureReason = (typeof FAILURE_REASONS)[number];

export interface ReaderPathStats {
  chunks: number;
  bytes: number;
  /** Thread nanoseconds spent in reading and in verifying. */
  readNs: number;
  verifyNs: number;
  retries: number;
  checksumFailures: number;
  /** Bytes of the node's hashtable that were read to find the values. */
  indexBytes: number;
  /** Chunks that each thread may have had in flight; 0 when none was wanted this way. */
  window: number;
  /** What the system said when the path broke (`connect: Connection refused`), or ''. */
  error: string;
}

export interface ReaderResult {
  /** Pairs: chunk index, reason (index into FAILURE_REASONS). Empty when the whole plan was carried out. */
  failures: Uint32Array;
  paths: ReaderPathStats[];
  zeroChunks: number;
  elapsedNs: number;
}

/** Runs one plan on threads of its own. */
export interface Reader {
  /** Resolves when no thread of the reader touches the destination any more, also after cancel(). */
  run(): Promise<ReaderResult>;
  cancel(): void;
  /** Live counters: [0] chunks done, [1] bytes done, [2] retries, [3] checksum failures. */
  readonly progress: BigUint64Array;
}
