import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { VolleyError } from './errors.js';
import type { FabricOffer, FabricSurvey, RemoteRegion } from './native/fabric.js';
import type { GuestMemory } from './native/guest-memory.js';
import type { Poller } from './native/poller.js';
import type { Reader, ReaderOptions } from './native/reader.js';
import type { LocalRegion, Region, RegionView } from './native/region.js';
import { ROOT } from './root.js';

export * from './native/fabric.js';
export * from './native/guest-memory.js';
export * from './native/poller.js';
export * from './native/reader.js';
export * from './native/region.js';

/** What the native addon offers; what it makes is told in src/native. Offsets and lengths are bytes. */
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
    file?: string | Uint8Array;
  }) => Region;
  /** @param lent what Region.lend() told */
  RegionView: new (
    lent: number,
  ) => RegionView;
  /** Ends the process at once, without anything that Node or libraries do at its end. @param code 0 to 255 */
  leave(code: number): void;
  /** Another descriptor of the same open file or socket. @throws Error with the system's words */
  duplicate(descriptor: number): number;
  /**
   * Lets this process open so many descriptors (RLIMIT_NOFILE) if it may not yet and the system allows that; returns how many it may
   * open then.
   */
  raiseDescriptorLimit(wanted: number): number;
  /** Gives an open file a (further) name, also one that was opened without a name. @throws Error with `errno`, as fs does */
  linkFile(descriptor: number, path: Uint8Array): void;
  /**
   * Gives an open file the extended attributes of another, its ACL among them, but for what holds for its content only.
   * @returns false where not all of them can be had
   */
  copyAttributes(from: number, to: number): boolean;
  /** Reserves room in an open file whose size stays, where the file system can. @throws Error with `errno`, as fs does */
  allocateFile(descriptor: number, offset: number, length: number): void;
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
   * Off this thread, reads a piece of an image, hashes its chunks and writes the text of a `set` around each that is not all
   * zeros (layout: native/piece_writer.h). Nobody may touch either array before the promise settles.
   * @param text room for all chunks with their commands
   * @param records room for 24 bytes per chunk: digest and XXH3, or zeros for a chunk of zeros
   * @param piece.length bytes of data
   * @param piece.fd descriptor to read the data from at `position`, or null when `text` holds the chunks already
   * Rejects with `code` ERR_VOLLEY_FILE and the system's words when the data cannot be read.
   */
  writePiece(
    text: Uint8Array,
    records: Uint8Array,
    piece: { length: number; chunkBytes: number; fd: number | null; position: number },
  ): Promise<void>;
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
