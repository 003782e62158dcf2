import { BUCKET_BYTES, type RemoteRegion } from '../../src/native.js';
import type { ClusterNode } from '../cluster-node.js';

/** A table is copied when it is at most this part of the data that is wanted; else buckets are read one by one. */
const INDEX_SHARE_MAX = 0.05;
const TIMEOUT_MS_DEFAULT = 5000;

const copied = new WeakSet<RemoteRegion>();

/**
 * Copies the hashtables of nodes that are read over a fabric, where that is cheap beside what a load wants from them.
 * A copy that fails is no failure of the load: buckets are read instead, or the node proves dead.
 * @param sources per chunk the node to read it from
 * @returns per node the bytes that were read for that
 */
export async function copyTables(
  nodes: readonly ClusterNode[],
  sources: Uint16Array,
  chunkBytes: number,
  timeoutMs = TIMEOUT_MS_DEFAULT,
): Promise<number[]> {
  if (!nodes.some(({ transport }) => transport === 'fabric')) return [];
  const chunks = new Float64Array(nodes.length);
  for (const source of sources) if (source < chunks.length) chunks[source]!++;
  const copying = nodes.map(async ({ transport, region }, node) => {
    if (transport !== 'fabric') return 0;
    const remote = region as RemoteRegion;
    const bytesMax = Math.floor(chunks[node]! * chunkBytes * INDEX_SHARE_MAX);
    // Tables only grow.
    if (copied.has(remote) || remote.info.bucketCount * BUCKET_BYTES > bytesMax) return 0;
    copied.add(remote);
    const bytes = await remote.copyTable(bytesMax, timeoutMs).catch(() => 0);
    if (bytes < BUCKET_BYTES) copied.delete(remote);
    return bytes;
  });
  return Promise.all(copying);
}
