import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { VolleyError } from './errors.js';

/** The native addon's surface. Layouts: docs/protocol.md. Offsets and lengths are bytes. */

export interface RegionInfo {
  bytes: number;
  layoutVersion: number;
  epoch: bigint;
  tableOffset: number;
  /** Buckets in use; more as the node gets more items, up to `bucketCapacity`. */
  bucketCount: number;
  bucketCapacity: number;
  arenaOffset: number;
  arenaBytes: number;
  pageBytes: number;
  /** Page size of the backing memory: 4096, or that of hugepages. */
  backingPageBytes: number;
}

/** What a region file held when it was taken up again. */
export interface RestoredItems {
  items: number;
  /** Slots and pages that were not what a node leaves behind; they are free now. */
  damaged: number;
  /** Older items of keys that were there twice, because the node was killed while it replaced them. */
  replaced: number;
}

/** What the words of Region.ledger are. */
export const LEDGER = {
  /** What tells this start of a node from all others. */
  start: 0,
  /** No cas unique above this one has been given out. */
  casReserved: 1,
  /** Items with a cas unique up to this one were flushed. */
  flushedCas: 2,
  /** When a delayed flush is due, in seconds since 1970; 0 = none is. */
  flushDue: 3,
} as const;

/** A storage node's own region: made, written and linked by the one process that owns it. */
export interface Region {
  readonly info: RegionInfo;
  /** Why the region is not what was asked for (no hugepages…), or null. */
  readonly notice: string | null;
  readonly itemCount: number;
  /** Null when the region is new. */
  readonly restored: RestoredItems | null;
  /** Numbers that are kept with the items, in the region itself; see LEDGER. */
  readonly ledger: BigUint64Array;
  /** Slot bytes of each arena page, 0 = not cut; a copy. */
  readonly directory: Uint32Array;
  /** Arena memory of the pages [first, first + count), without copying. Stays valid while the buffer is referenced. */
  window(firstPage: number, pageCount: number): ArrayBuffer;
  /**
   * Looks up `count` keys: key i is bytes[ranges[2i], ranges[2i+1]). Writes to out[i] the arena offset of the slot
   * that holds it (full key compared), or -1. Knows nothing of expiry.
   */
  find(bytes: Uint8Array, ranges: Uint32Array, count: number, out: Float64Array): void;
  /**
   * Makes the item in the slot at `slotOffset` (header but for checksums and magic, text and value written) visible under
   * its key. From then on it outlives the node, if the region lies in a file. Returns the arena offset of the slot that held the key before (now unlinked), -1 when the key is
   * new, -2 when the table has no room (nothing changed).
   */
  link(slotOffset: number): number;
  /** Takes the item in that slot out of the table; false when the table does not point to it. Throws when the slot holds no item. */
  unlink(slotOffset: number): boolean;
  /** Moves a linked item to another slot, which must be long enough. What is at `from` stays readable. */
  move(from: number, to: number): void;
  /** Whether the value of the item in that slot has the checksum that it was stored with. */
  isIntact(slotOffset: number): boolean;
  /** Cuts an arena page into slots of so many bytes, none of which holds an item; 0 = it is not cut any more. */
  cutPage(page: number, slotBytes: number): void;
  /** Lets other threads of this process see the region: what to make a RegionView from. */
  lend(): number;
  /** Hands the region, read-only, to whoever connects to this unix socket (mode 0600), from a thread of its own. */
  share(path: string): void;
  unshare(): void;
  /**
   * Registers the region remote-read only with a fabric and lets clients connect until close(). Connection events are
   * handled on a thread of its own; reads are not seen at all.
   * @throws ERR_VOLLEY_FABRIC, ERR_VOLLEY_MEMORY (locked memory), ERR_VOLLEY_SETUP (no libfabric)
   */
  offer(options: FabricOfferOptions): FabricOffer;
  stopOffering(): void;
  readonly fabricCounts: FabricCounts;
  close(): void;
}

/** What RegionView.find() tells of a key that has no item to be given out. */
export const NO_ITEM = {
  missing: -1,
  expired: -2,
  flushed: -3,
  /** It is of an earlier node, and its value is not what was stored. */
  damaged: -4,
} as const;

/**
 * A node's own region on another thread than the one that owns it. Slots that it finds may be freed at any moment: the thread
 * has to announce before that it looks, and the owner must not reuse what was freed since; see server/threads.
 */
export interface RegionView {
  readonly info: RegionInfo;
  /** As Region.window; not to be written. */
  window(firstPage: number, pageCount: number): ArrayBuffer;
  /** Slot bytes of each arena page, 0 = not cut; live, and not to be written. */
  readonly directory: Uint32Array;
  /**
   * As Region.find, but knows of expiry and flushes, too: writes to out[i] the slot, which it marks as read when `isUse`, or
   * one of NO_ITEM. Waits for the owner when that is in the middle of a change, a second at most.
   */
  find(
    bytes: Uint8Array,
    ranges: Uint32Array,
    count: number,
    out: Float64Array,
    nowSeconds: number,
    isUse: boolean,
  ): void;
  /** Marks the item in a slot that was found as read. */
  noteUse(slotOffset: number, nowSeconds: number): void;
}

/** A way that libfabric knows to reach others. */
export interface FabricWay {
  /** libfabric's name of the provider, such as `verbs` or `net`. */
  provider: string;
  /** libfabric's name of the device (domain), such as `mlx5_0`. */
  device: string;
  /** Connected endpoints, reliable datagrams, unreliable ones. */
  endpoint: 'msg' | 'rdm' | 'dgram';
  /** Whether it can read remote memory as Volley needs it. */
  reads: boolean;
  /** Whether it is at the address that was asked for, or routes to it. */
  here: boolean;
}

/** What libfabric has on this host. */
export interface FabricSurvey {
  /** libfabric's version, such as `1.17`. */
  version: string;
  /** Providers that are in it and that it may use (FI_PROVIDER). */
  providers: string[];
  ways: FabricWay[];
}

/** The way on this host's side that a region is read by. */
export type FabricUse = Pick<FabricWay, 'provider' | 'device'> & { endpoint: 'msg' | 'rdm' };

/** The same where it is known what the device bears. */
export interface FabricSide extends FabricUse {
  /** Reads that one connection may have outstanding (max_rd_atomic); null where the device does not tell. */
  readsOutstandingMax: number | null;
}

export interface FabricOfferOptions {
  provider: string;
  /** Default: the first that has the address. */
  device?: string;
  /** Default: `msg` where the provider has it. */
  endpoint?: 'msg' | 'rdm';
  /** IP address to listen on; empty is every address. */
  host: string;
  /** 0 takes a free one. */
  port: number;
  connectionsMax: number;
  /** Milliseconds that a connection keeps its place when all are taken and another client wants one. */
  placeHeldMs: number;
}

/** What became of those who wanted to connect over the fabric. */
export interface FabricCounts {
  /** Clients that are connected now. */
  connections: number;
  /** Refused because they did not show the token. */
  refusedToken: number;
  /** Refused because all places were taken. */
  refusedFull: number;
  /** Closed because another client wanted their place. */
  reclaimed: number;
}

/** How a region is read over a fabric. */
export interface FabricOffer {
  /** libfabric's name of the provider, such as `verbs` or `net`. */
  provider: string;
  /** The node's device. */
  device: string;
  endpoint: 'msg' | 'rdm';
  port: number;
  /** The raw address of an endpoint for reliable datagrams; empty where clients connect to the port. */
  address: Uint8Array;
  /** Added to an offset in the region to address it. */
  base: bigint;
  /** The registration's key: who has it can read the whole region. */
  key: bigint;
  /** 16 random bytes, others at each start: without them no connection is taken. */
  token: Uint8Array;
}

/** A region read over a fabric. */
export interface RemoteRegion {
  readonly info: RegionInfo;
  readonly way: FabricSide;
  /**
   * Copies the hashtable, so that chunks need no reading of buckets before them; unless it takes more than `bytesMax`.
   * @returns the bytes that were read for it
   */
  copyTable(bytesMax: number, timeoutMs: number): Promise<number>;
  close(): void;
}

/** Another process's region on this host, mapped read-only. */
export interface LocalRegion {
  readonly info: RegionInfo;
  close(): void;
}

/** Memory that a load fills: a memfd of our own, or a file that something else made. */
export interface GuestMemory {
  readonly bytes: number;
  readonly fd: number;
  readonly notice: string | null;
  /** Allocates the pages of a range now, so that a full disk or tmpfs is an error and not a SIGBUS. */
  reserve(offset: number, length: number): void;
  write(offset: number, data: Uint8Array): void;
  /** A copy of the range. */
  read(offset: number, length: number): Buffer;
  close(): void;
}

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
  /** Milliseconds that one read may take, from its posting. */
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

/** Receives from many sockets of one thread: in each turn of its event loop in one go from all that have something. */
export interface Poller {
  /**
   * Watches a socket from now on, which nobody else may read from. Whoever closes it removes it first where its connection
   * has other descriptors, too.
   * @param index what to call it
   * @throws Error ERR_VOLLEY_MEMORY, ERR_VOLLEY_USAGE when it is watched already or is no socket
   */
  add(descriptor: number, index: number): void;
  /** Watches a socket no longer. */
  remove(descriptor: number): void;
  /** Watches nothing any more. */
  close(): void;
}

export interface Native {
  Region: new (options: {
    arenaBytes: number;
    /** Items that the table may grow to; what it does not use takes no memory… */
    tableItems: number;
    /** …but where memory is taken whole, as hugepages are: there it may grow to so many. Default: as many. */
    tableItemsPinned?: number;
    /** Whether to back the region with hugepages when there are enough; falls back with a notice. */
    hugepages: boolean;
    /** A file on tmpfs or hugetlbfs that holds the region and outlives the node; taken up again when it holds one. */
    file?: string;
  }) => Region;
  /** @param lent what Region.lend() told */
  RegionView: new (
    lent: number,
  ) => RegionView;
  /** Ends the process at once, without anything that Node or libraries do at its end. @param code 0 to 255 */
  leave(code: number): void;
  /** Another descriptor of the same open file or socket. @throws Error with the system's words */
  duplicate(descriptor: number): number;
  /** Connects to a node's unix socket and maps what it hands out. Rejects with `code` ERR_VOLLEY_*. */
  openLocalRegion(path: string, timeoutMs: number): Promise<LocalRegion>;
  /**
   * Connects to a node's fabric and reads the region's header. Rejects with `code` ERR_VOLLEY_*.
   * @param options.localDevice this host's device; default: the one that routes to the node
   */
  openRemoteRegion(
    options: FabricOffer & { host: string; timeoutMs: number; localDevice?: string },
  ): Promise<RemoteRegion>;
  /**
   * Asks libfabric what there is, at an address to listen on or to reach (empty: any).
   * @param options.provider default: all
   * @param options.endpoint tells of ways of this kind that can read, and of no others; default: all
   * Rejects with `code` ERR_VOLLEY_SETUP where libfabric is not installed.
   */
  surveyFabrics(options: {
    provider?: string;
    endpoint?: 'msg' | 'rdm';
    host: string;
    listening: boolean;
  }): Promise<FabricSurvey>;
  /**
   * Sends the first `count` pieces over a socket, as far as it takes them without waiting.
   * @returns the bytes that it took; fewer than all when it is full or broken
   */
  sendNow(descriptor: number, pieces: readonly Uint8Array[], count: number): number;
  /**
   * @param buffer where to receive, at least 16 KiB
   * @param received three elements per socket: its index, and where in the buffer what came from it begins and ends; nothing
   * came where its client will send no more or the connection is broken, which is told until it is removed
   * @param onReceived called with the number of sockets that `received` tells of
   */
  Poller: new (
    buffer: Uint8Array,
    received: Uint32Array,
    onReceived: (count: number) => void,
  ) => Poller;
  /**
   * Has this thread's event loop look for events for so many nanoseconds after each sendNow() before it sleeps; at most a
   * second. Where nothing comes of it the loop sleeps more and more often at once. Default 0: it always does.
   */
  setBusyWait(nanoseconds: number): void;
  GuestMemory: {
    /** A sparse memfd of zeros. */
    create(bytes: number, options?: { hugepages?: boolean }): GuestMemory;
    /** Maps an open file shared and writable (its own duplicate of fd); the file must be at least `bytes` long. */
    map(fd: number, bytes: number): GuestMemory;
  };
  Reader: new (options: ReaderOptions) => Reader;
}

/** The project's root: the nearest folder above this file that holds package.json. */
export const ROOT = (() => {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
})();

function load(): Native {
  const kind = process.env.VOLLEY_ADDON === 'debug' ? 'Debug' : 'Release';
  const path = join(ROOT, 'build', kind, 'volley.node');
  if (!existsSync(path)) {
    throw new VolleyError('ERR_VOLLEY_SETUP', `the native addon ${path} is not built; run: npm run setup`);
  }
  return createRequire(import.meta.url)(path) as Native;
}

let loaded: Native | undefined;

/** The native addon, loaded at first use. @throws VolleyError ERR_VOLLEY_SETUP when it is not built */
export function native(): Native {
  loaded ??= load();
  return loaded;
}
