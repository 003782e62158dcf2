import { ITEM } from './item.js';
import type { Store } from './store.js';

const U64 = 1n << 64n;
/** Longest prefix of a value that is looked at for a number. */
const NUMBER_BYTES_MAX = 64;
const SPACE = 0x20;

/**
 * Adds `delta` to the number that the item's value is (subtracts when `decrement`, not below 0; 64 bits, wrapping) and
 * stores it. As in memcached a number that became shorter is padded with spaces.
 */
export function addTo(
  store: Store,
  slot: number,
  delta: bigint,
  decrement: boolean,
): bigint | 'no-memory' | 'not-numeric' {
  const { arena } = store;
  const before = numberIn(store, slot);
  if (before === null) return 'not-numeric';
  const after = decrement ? (delta > before ? 0n : before - delta) : (before + delta) % U64;
  const digits = after.toString();
  const valueBytes = Math.max(digits.length, arena.valueBytes(slot));
  const changed = store.reserveSuccessor(slot, valueBytes);
  if (changed < 0) return 'no-memory';
  // memcached counts in place, where there is room, and makes a new item else.
  if (valueBytes === arena.valueBytes(slot)) store.mark(changed, arena.u32(slot + ITEM.state), 0);
  const start = arena.valueStart(changed);
  const value = arena.range(start, start + valueBytes);
  value.fill(SPACE, digits.length);
  value.write(digits, 'latin1');
  return store.link(changed) ? after : 'no-memory';
}

function numberIn({ arena }: Store, slot: number): bigint | null {
  const start = arena.valueStart(slot);
  const end = start + Math.min(arena.valueBytes(slot), NUMBER_BYTES_MAX);
  const match = /^\s*\+?(\d{1,40})(?:\s|$)/.exec(arena.range(start, end).toString('latin1'));
  const value = match ? BigInt(match[1]!) : U64;
  return value < U64 ? value : null;
}
