import type { Region } from '../src/native.js';
import type { Arena } from './arena.js';
import { ITEM, ITEM_MAGIC } from './item.js';
import type { Slots } from './slots.js';
import type { Store } from './store.js';

/**
 * Takes up the items of a region that an earlier node left behind: the region knows where they are, the slots in use and
 * the sums over all items follow from that.
 * @throws VolleyError ERR_VOLLEY_LAYOUT when the arena was cut into other size classes
 */
export function restoreItems(region: Region, slots: Slots, store: Store): void {
  if (!region.restored) return;
  const { arena } = store;
  slots.restore(region.directory, (slot) => holdsItem(arena, slot));
  for (let slot = slots.nextUsed(0); slot >= 0; slot = slots.nextUsed(slot + 1)) store.takeUp(slot);
  store.takenUp();
}

function holdsItem(arena: Arena, slot: number): boolean {
  return arena.u32(slot + ITEM.magic) === ITEM_MAGIC;
}
