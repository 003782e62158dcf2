import type { Credentials } from '../src/credentials.js';
import { isVolleyError, type VolleyErrorCode } from '../src/errors.js';
import { CHUNK_BYTES_DEFAULT } from '../src/manifest.js';
import type { FabricSide } from '../src/native.js';
import { type NodeName, parseNodeList } from '../src/node-name.js';
import type { TlsOptions } from '../src/tls-settings.js';
import { chooseTransport } from './choose-transport.js';
import type { NodeTransport } from './cluster-node.js';
import { probeNode } from './connect-node.js';
import type { ControlChannel } from './control.js';
import { mapLimited } from './deadline.js';
import { type ClientTls, makeClientTls } from './secure.js';
import { shareWords } from './stock-memory.js';

const PARALLEL = 64;

/** What can be told of a node that answers. */
export interface LiveNode {
  name: string;
  address: string;
  kind: 'volley' | 'memcached';
  version: string;
  uptimeSeconds: number;
  items: number;
  /** Bytes of the items stored, and the most that the node takes. */
  bytes: number;
  limitBytes: number;
  getHits: number;
  getMisses: number;
  connections: number;
  /** How this host would read chunks from it, and why so. */
  transport: NodeTransport;
  transportReason: string;
  /** This host's side of the fabric, when the transport is one. */
  fabric: FabricSide | null;
  /** 16 hex digits, another at each start; null for a stock memcached. */
  epoch: string | null;
  /** What is worth knowing of a stock memcached's memory, or null. */
  memoryNote: string | null;
  error: null;
}

/** A node that does not answer. */
export interface DeadNode {
  name: string;
  error: { code: VolleyErrorCode; message: string };
}

/** Asks all nodes of a list who they are; one that is down does not keep the others from being told of. */
export async function inspectNodes(
  nodes: readonly string[],
  timeoutMs: number,
  signal?: AbortSignal,
  credentials: Credentials | null = null,
  tls: TlsOptions | null = null,
): Promise<(LiveNode | DeadNode)[]> {
  const client = tls && makeClientTls(tls);
  return mapLimited(parseNodeList(nodes), PARALLEL, async (node) => {
    try {
      return await inspect(node, credentials, client, timeoutMs, signal);
    } catch (error) {
      if (!isVolleyError(error) || error.code === 'ERR_VOLLEY_ABORTED') throw error;
      return { name: node.name, error: { code: error.code, message: error.message } };
    }
  });
}

async function inspect(
  node: NodeName,
  credentials: Credentials | null,
  client: ClientTls | null,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<LiveNode> {
  const probe = await probeNode(node, credentials, client, timeoutMs, signal);
  const { address, addresses, control, version, stats, volley } = probe;
  const memoryNote = volley ? null : await noteOf(control, Number(stats.limit_maxbytes ?? 0), signal);
  control.close();
  const { transport, reason, region, fabric } = await chooseTransport({
    node: node.name,
    address,
    addresses,
    wanted: 'auto',
    fabric: 'auto',
    volley,
    timeoutMs,
  });
  region?.close();
  const number = (field: string) => Number(stats[field] ?? 0);
  return {
    name: node.name,
    address: `${address}:${node.port}`,
    kind: volley ? 'volley' : 'memcached',
    version,
    uptimeSeconds: number('uptime'),
    items: number('curr_items'),
    bytes: number('bytes'),
    limitBytes: number('limit_maxbytes'),
    getHits: number('get_hits'),
    getMisses: number('get_misses'),
    connections: number('curr_connections'),
    transport,
    transportReason: reason,
    fabric,
    epoch: volley ? (volley.all.epoch ?? null) : null,
    memoryNote,
    error: null,
  };
}

/** How much of a stock memcached's memory chunks can fill, and what becomes of them when it is full. */
async function noteOf(
  control: ControlChannel,
  limitBytes: number,
  signal?: AbortSignal,
): Promise<string | null> {
  const settings = await control.stats('settings', signal).catch(() => null);
  if (!(limitBytes > 0)) return null;
  const evicts = settings?.evictions === 'on' ? '; when it is full it evicts images (start it with -M)' : '';
  return `${shareWords(limitBytes, CHUNK_BYTES_DEFAULT)}${evicts}`;
}
