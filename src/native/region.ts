import type { FabricCounts, FabricOffer, FabricOfferOptions } from './fabric.js';

/** Bytes of a bucket of the hashtable, and the entries in one (docs/protocol.md, "Region"). */
export const BUCKET_BYTES = 128;
export const ENTRIES_PER_BUCKET = 4;

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
  /** Seconds that the node's time is ahead of the wall clock, as a signed number; exptimes that are no dates go by the node's time. */
  ahead: 4,
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
    wallSeconds: number,
    isUse: boolean,
  ): void;
  /** Marks the item in a slot that was found as read. */
  noteUse(slotOffset: number, nowSeconds: number): void;
}

/** Another process's region on this host, mapped read-only. */
export interface LocalRegion {
  readonly info: RegionInfo;
  close(): void;
}
