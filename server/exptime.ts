/** Exptimes up to 30 days count from now, larger ones since 1970; memcached's rule. */
const RELATIVE_MAX = 30 * 24 * 3600;
const U32_MAX = 0xffffffff;
/** Long ago: an item with this exptime has expired. */
const PAST = 1;

/**
 * The exptime that an item's header holds (seconds since 1970, 0 = never) for one that a client gave: 0 never, negative
 * at once.
 */
export function absoluteExptime(exptime: number, nowSeconds: number): number {
  if (exptime === 0) return 0;
  if (exptime < 0) return PAST;
  return Math.min(exptime <= RELATIVE_MAX ? nowSeconds + exptime : exptime, U32_MAX);
}
