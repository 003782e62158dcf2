import { setTimeout as sleep } from 'node:timers/promises';
import { VolleyError } from '../src/errors.js';
import { quote } from '../src/keys.js';
import type { ClusterNode } from './cluster-node.js';
import { nodeTimeout, refusalError } from './node-errors.js';
import { TextConnection } from './text-connection.js';

const BUSY_PAUSE_MS = 50;
const REFUSAL = /^(?:ERROR|CLIENT_ERROR|SERVER_ERROR|BADCLASS)/;

/** An item as the node's listing tells it. */
export interface ListedItem {
  key: string;
  /** Seconds since 1970 by the node's clock, or null when the listing does not tell it. */
  lastAccess: number | null;
  /** Whether it has an exptime. */
  expires: boolean;
}

/**
 * Lists all items of a node and hands them over one by one, so that memory stays bounded however many there are. A
 * memcached (1.6.18 and later) is asked to walk its hashtable: `metadump all` walks its LRU lists, and misses items
 * that memcached moves between them meanwhile. A Volley node has no LRU lists, and `all` tells of every item.
 * @throws VolleyError ERR_VOLLEY_PROTOCOL when the node cannot list, ERR_VOLLEY_TIMEOUT, ERR_VOLLEY_NODE_DOWN
 */
export async function listItems(
  node: ClusterNode,
  timeoutMs: number,
  onItem: (item: ListedItem) => void,
  signal?: AbortSignal,
): Promise<void> {
  const request = `lru_crawler metadump ${node.volley ? 'all' : 'hash'}`;
  const connection = await TextConnection.connect(node, timeoutMs, signal);
  const deadline = performance.now() + timeoutMs;
  try {
    while (!(await listOnce(connection, request, onItem, signal))) {
      if (performance.now() > deadline)
        throw nodeTimeout(node.name, 'a listing, it is busy with another', timeoutMs);
      await sleep(BUSY_PAUSE_MS);
    }
  } finally {
    connection.close();
  }
}

/** False when the node is busy with another listing. */
async function listOnce(
  connection: TextConnection,
  request: string,
  onItem: (item: ListedItem) => void,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  let busy = false;
  const onLine = (line: string) => {
    if (line === 'END') return true;
    if (line.startsWith('BUSY')) {
      busy = true;
      return true;
    }
    if (REFUSAL.test(line)) throw cannotList(connection.node, request, line);
    const item = parseItem(line);
    if (item) onItem(item);
    return false;
  };
  await connection.ask(request, onLine, signal);
  return !busy;
}

/** A node that does not list its items, which images, rm and the check for lost chunks need. */
function cannotList(node: string, request: string, line: string): VolleyError {
  const isOff = /lru crawler disabled/i.test(line);
  if (!isOff && line.startsWith('CLIENT_ERROR')) return refusalError(node, request, line);
  const help = isOff
    ? 'its LRU crawler is off: start memcached without -o no_lru_crawler, or send it "lru_crawler enable"'
    : 'upload, load and boot work without; name memcached 1.6.18 or later itself, no proxy, or a Volley node';
  const text = `node ${node} cannot list its items (${quote(line)} to ${request}); ${help}`;
  return new VolleyError('ERR_VOLLEY_PROTOCOL', text);
}

/** Reads `key=… exp=… la=… …`, where the key is URI-encoded; null for a line of another form. */
function parseItem(line: string): ListedItem | null {
  const match = /^key=(\S+)(?: exp=(-?\d+))?(?:.*? la=(\d+))?/.exec(line);
  if (!match) return null;
  try {
    const lastAccess = match[3] === undefined ? null : Number(match[3]);
    return { key: decodeURIComponent(match[1]!), lastAccess, expires: Number(match[2] ?? 0) > 0 };
  } catch {
    return null;
  }
}
