import { isKey } from './protocol/commands.js';
import type { Store } from './store.js';

/** Items told, and items looked at, at most: the event loop must not wait for a walk through all memory. */
const ITEMS_MAX = 1000;
const LOOKED_AT_MAX = 20_000;

/**
 * Lines of `stats cachedump`: the first items of a size class, at most `limit` (0 = as many as are told). Keys that the
 * lines could not hold are left out. `lru_crawler metadump` tells of all items.
 */
export function cacheDump(store: Store, sizeClass: number, limit: number): string[] {
  const { arena } = store;
  const most = limit === 0 ? ITEMS_MAX : Math.min(limit, ITEMS_MAX);
  const lines: string[] = [];
  let slot = store.nextItem(0);
  for (let i = 0; slot >= 0 && i < LOOKED_AT_MAX && lines.length < most; i++) {
    const key = arena.key(slot);
    if (store.sizeClassOf(slot) === sizeClass && isKey(key, 0, key.length)) {
      lines.push(
        `ITEM ${key.toString('latin1')} [${arena.valueBytes(slot)} b; ${store.exptimeOf(slot)} s]\r\n`,
      );
    }
    slot = store.nextItem(slot + 1);
  }
  return lines;
}
