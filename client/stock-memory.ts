import type { ClusterNode } from './cluster-node.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * The share of its -m that chunks of a size can fill in a stock memcached, as measured with 1.6.18 and -M: each stands in
 * a slab class of items that are larger, and a page holds a whole number of those.
 */
const USABLE_SHARES: readonly (readonly [chunkBytes: number, share: number])[] = [
  [4 * KIB, 0.898],
  [8 * KIB, 0.922],
  [64 * KIB, 0.9375],
  [256 * KIB, 0.75],
  [512 * KIB, 0.969],
  [MIB, 0.984],
];

/** The share of -m that chunks of this size can fill in a stock memcached. */
export function usableShare(chunkBytes: number): number {
  const row = USABLE_SHARES.find(([largest]) => chunkBytes <= largest);
  return (row ?? USABLE_SHARES.at(-1)!)[1];
}

/** What the chunk size makes of a stock memcached's memory, in words. */
export function shareWords(limitBytes: number, chunkBytes: number): string {
  const percent = (bytes: number) => `${Number((100 * usableShare(bytes)).toFixed(2))} %`;
  const at = `chunks of ${chunkBytes / KIB} KiB fill ${percent(chunkBytes)} of its -m ${mOf(limitBytes)}`;
  const isPoor = usableShare(chunkBytes) < 0.8;
  const other = isPoor ? 32 * KIB : 128 * KIB;
  return `${at}, those of ${isPoor ? '32' : '128 or 256'} KiB ${percent(other)}`;
}

/** What -m was set to, in memcached's unit. */
export function mOf(limitBytes: number): number {
  return Math.round(limitBytes / MIB);
}

/** The memory of a stock memcached that refuses when it is full. */
export interface StockRoom {
  limitBytes: number;
  /** Bytes of chunks that still fit, if the memory of other size classes were free for them. */
  freeBytes: number;
}

/** Null for a Volley node, for a memcached that evicts (no -M), and where it is not known. */
export async function roomOf(
  { volley, control }: ClusterNode,
  chunkBytes: number,
  signal?: AbortSignal,
): Promise<StockRoom | null> {
  if (volley) return null;
  const [stats, settings] = await Promise.all([control.stats('', signal), control.stats('settings', signal)]);
  if (settings?.evictions !== 'off') return null;
  const [limitBytes, usedBytes] = [Number(stats?.limit_maxbytes), Number(stats?.bytes)];
  if (!(limitBytes > 0 && usedBytes >= 0)) return null;
  return { limitBytes, freeBytes: Math.max(0, limitBytes * usableShare(chunkBytes) - usedBytes) };
}
