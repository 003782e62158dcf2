import { pathOf } from '../src/file-path.js';
import { native, type Region } from '../src/native.js';
import type { NodeOptions } from './options.js';

const MIB = 1024 * 1024;
const PAGE_BYTES = 1_054_720;
const TABLE_ITEMS_MIN = 65_536;
/** Memory per item below which no node gets: the table may grow so far where what it does not use costs nothing. */
const ITEM_BYTES_LEAST = 512;
/** The same where the whole region is taken at once: in hugepages, and when it is pinned for a fabric. */
const ITEM_BYTES_PINNED = 4096;

/**
 * Makes a node's region, or takes up the one in its region file.
 * @param isPinned whether all of the region will be pinned
 * @throws VolleyError ERR_VOLLEY_MEMORY, _FILE or _LAYOUT
 */
export function openRegion(options: NodeOptions, isPinned: boolean): Region {
  const { memoryBytes, tableItems, hugepages, region } = options;
  const items = (bytes: number) => tableItems ?? Math.max(TABLE_ITEMS_MIN, Math.ceil(memoryBytes / bytes));
  return new (native().Region)({
    arenaBytes: Math.ceil(memoryBytes / MIB) * PAGE_BYTES,
    tableItems: items(isPinned ? ITEM_BYTES_PINNED : ITEM_BYTES_LEAST),
    tableItemsPinned: items(ITEM_BYTES_PINNED),
    hugepages: hugepages === 'auto',
    ...(region === null ? {} : { file: pathOf(region) }),
  });
}
