import type { Arena } from './arena.js';
import type { Clock } from './clock.js';
import { STATE } from './item.js';

/** Exptimes up to 30 days count from now, larger ones since 1970; memcached's rule. */
const RELATIVE_MAX = 30 * 24 * 3600;
const U32_MAX = 0xffffffff;
/** Long ago: an item with this exptime has expired. */
const PAST = 1;

/** Whether an exptime, as a client gave it, is a date: it goes by the wall clock then, else by the node's time. */
export function isDate(exptime: number): boolean {
  return exptime > RELATIVE_MAX;
}

/**
 * The exptime that an item's header holds (seconds since 1970, 0 = never) for one that a client gave: 0 never, negative
 * at once. By the wall clock for a date, else by the node's time.
 */
export function absoluteExptime(exptime: number, nowSeconds: number): number {
  if (exptime === 0) return 0;
  if (exptime < 0) return PAST;
  return Math.min(isDate(exptime) ? exptime : nowSeconds + exptime, U32_MAX);
}

/** The same by the node's time, as of now, for what is compared with that alone. */
export function nodeExptime(exptime: number, clock: Clock): number {
  const now = clock.seconds();
  if (!isDate(exptime)) return absoluteExptime(exptime, now);
  return Math.max(PAST, Math.min(exptime - clock.wallSeconds() + now, U32_MAX));
}

/** Seconds that an item has left, none or less when it has expired; Infinity when it does not expire. */
export function secondsLeft(arena: Arena, slot: number, clock: Clock): number {
  const exptime = arena.exptime(slot);
  if (exptime === 0) return Number.POSITIVE_INFINITY;
  return exptime - (arena.hasState(slot, STATE.wallExptime) ? clock.wallSeconds() : clock.seconds());
}
