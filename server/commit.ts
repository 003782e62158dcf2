import { ITEM, STATE } from './item.js';
import type { StoreMode } from './protocol/commands.js';
import type { Store } from './store.js';

export type StoreOutcome = 'stored' | 'not-stored' | 'exists' | 'not-found' | 'no-memory';

/**
 * Links the item in a reserved slot, if `mode` and `cas` (0n: any) allow it beside what the key holds now; else the
 * slot is given back. With `mayBeStale` a cas unique lower than the item's is taken too, and the new item is stale.
 */
export function commit(
  store: Store,
  slot: number,
  mode: StoreMode,
  cas: bigint,
  mayBeStale = false,
): StoreOutcome {
  if (mode === 'set') return store.link(slot) ? 'stored' : 'no-memory';
  const { arena } = store;
  const key = arena.key(slot);
  const old = store.findOne(key, 0, key.length);
  const isStale = mayBeStale && mode === 'cas' && old >= 0 && cas > 0n && cas < BigInt(arena.cas(old));
  const refused = isStale ? null : refusal(store, old, mode, cas);
  if (isStale) takeOver(store, slot, old);
  if (refused) {
    store.abandon(slot);
    return refused;
  }
  if (mode === 'add' || mode === 'replace' || mode === 'cas')
    return store.link(slot) ? 'stored' : 'no-memory';
  const joined = join(store, slot, old, mode);
  store.abandon(slot);
  if (joined < 0) return 'no-memory';
  return store.link(joined) ? 'stored' : 'no-memory';
}

/** Makes the new item a stale one that lives as long as the old one does. */
function takeOver(store: Store, slot: number, old: number): void {
  const { arena } = store;
  store.copyExptime(old, slot);
  store.mark(slot, STATE.stale | (arena.u32(old + ITEM.state) & STATE.tokenSent), 0);
}

function refusal({ arena }: Store, old: number, mode: StoreMode, cas: bigint): StoreOutcome | null {
  if (mode === 'add') return old >= 0 ? 'not-stored' : null;
  if (old < 0) return mode === 'cas' ? 'not-found' : 'not-stored';
  const mustMatch = mode === 'cas' || cas !== 0n;
  return mustMatch && BigInt(arena.cas(old)) !== cas ? 'exists' : null;
}

/** A reserved slot with the item `old` and the value in `slot` behind or before its own, or NO_MEMORY. */
function join(store: Store, slot: number, old: number, mode: 'append' | 'prepend'): number {
  const { arena } = store;
  const joined = store.reserveSuccessor(old, arena.valueBytes(old) + arena.valueBytes(slot));
  if (joined < 0) return joined;
  const [first, second] = mode === 'append' ? [old, slot] : [slot, old];
  copyValue(store, joined, 0, first);
  copyValue(store, joined, arena.valueBytes(first), second);
  return joined;
}

function copyValue(store: Store, to: number, at: number, from: number): void {
  const start = store.arena.valueStart(from);
  const value = store.arena.range(start, start + store.arena.valueBytes(from));
  store.write(to, at, value, 0, value.length);
}
