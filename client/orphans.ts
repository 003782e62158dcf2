import { DigestSet } from '../src/digest-set.js';
import { VolleyError } from '../src/errors.js';
import { CHUNK_KEY_PREFIX, isChunkKey, partitionOfDigest } from '../src/keys.js';
import { isZeroRecord, RECORD_BYTES } from '../src/manifest.js';
import type { PartitionMap } from '../src/ring.js';
import type { ClusterNode } from './cluster-node.js';
import { type ListedItem, listItems } from './metadump.js';
import type { FoundNodeList } from './node-lists.js';
import { RemovalGuard } from './removal-guard.js';
import { freeChunks, type SentenceTarget } from './sentence.js';

/** Seconds that an orphan must not have been touched: younger ones may belong to an upload that is under way. */
export const ORPHAN_AGE_DEFAULT_S = 3600;

/** What removing orphans did. */
export interface OrphansReport {
  /** Chunks that no image uses, removed. */
  removedChunks: number;
  /** Chunks that no image uses, left because they were touched too lately. */
  youngChunks: number;
  /** Within how many seconds from now the nodes free what is removed; 0 when there is nothing. */
  freedWithinSeconds: number;
  /** Why chunks that nobody seems to use stay, or null. */
  keptReason: string | null;
  nodes: { name: string; removedChunks: number; youngChunks: number }[];
}

/**
 * Removes chunks that no manifest refers to: what interrupted uploads and replaced images left.
 * @param minAgeS seconds; chunks touched more lately stay
 * @throws VolleyError ERR_VOLLEY_MANIFEST when a manifest is damaged, for what it refers to is not known;
 * ERR_VOLLEY_NODE_LIST when images were stored with another node list, or look so
 */
export async function removeOrphans(
  target: SentenceTarget,
  minAgeS: number,
  signal?: AbortSignal,
): Promise<OrphansReport> {
  const startMs = performance.now();
  const { used, nodeLists } = await usedDigests(target, signal);
  const listedMs = performance.now() - startMs;
  const found = [];
  for (const [index, node] of target.nodes.entries())
    found.push(await orphansOn(node, used[index]!, minAgeS, target.timeoutMs, signal));
  const items = found.map(({ orphans }) => orphans);
  const { rescued, absent, seconds, keptReason } = await freeChunks(target, items, listedMs, signal);
  const nodes = found.map(({ orphans, youngChunks }, index) => ({
    name: target.nodes[index]!.name,
    removedChunks: keptReason ? 0 : orphans.size - new Set([...rescued[index]!, ...absent[index]!]).size,
    youngChunks,
  }));
  if (!keptReason && target.goneNodes.length > 0) await target.nodeLists.forget(nodeLists);
  return {
    removedChunks: nodes.reduce((sum, { removedChunks }) => sum + removedChunks, 0),
    youngChunks: nodes.reduce((sum, { youngChunks }) => sum + youngChunks, 0),
    freedWithinSeconds: seconds,
    keptReason,
    nodes,
  };
}

/** Per node the contents that images use there, and the records of node lists that the nodes hold. */
async function usedDigests(
  target: SentenceTarget,
  signal?: AbortSignal,
): Promise<{ used: DigestSet[]; nodeLists: FoundNodeList[] }> {
  const used = target.nodes.map(() => new DigestSet());
  const guard = new RemovalGuard(target.goneNodes);
  const nodeLists = await target.catalog.visit((found) => {
    guard.note(found);
    addDigests(found.manifest?.records ?? null, used, found.placement);
    addDigests(found.root?.pieces ?? null, used, found.placement);
  }, signal);
  const list = await target.nodeLists.objection(nodeLists, target.goneNodes, signal);
  const objection = guard.objection('') ?? (list && new VolleyError('ERR_VOLLEY_NODE_LIST', list));
  if (!objection) return { used, nodeLists };
  const { code, message } = objection;
  throw new VolleyError(code, `no chunk was removed: ${message}`, { cause: objection });
}

/** Adds what the records of a manifest, or of its body's pieces, stand for, where it lies. */
function addDigests(records: Uint8Array | null, used: readonly DigestSet[], placement: PartitionMap): void {
  for (let offset = 0; records && offset < records.length; offset += RECORD_BYTES) {
    if (isZeroRecord(records, offset)) continue;
    used[placement.node(partitionOfDigest(records, offset))]!.add(records, offset);
  }
}

/** Chunks on one node that no image uses. Those that have an exptime are being freed already. */
async function orphansOn(
  node: ClusterNode,
  used: DigestSet,
  minAgeS: number,
  timeoutMs: number,
  signal: AbortSignal | undefined,
) {
  const stats = await node.control.stats('', signal);
  const oldest = Number(stats?.time ?? 0) - minAgeS;
  const orphans = new DigestSet();
  let youngChunks = 0;
  const onItem = ({ key, lastAccess, expires }: ListedItem) => {
    if (!isChunkKey(key) || expires) return;
    const digest = Buffer.from(key.slice(CHUNK_KEY_PREFIX.length), 'hex');
    if (used.find(digest) >= 0) return;
    if (minAgeS === 0 || (lastAccess !== null && lastAccess <= oldest)) orphans.add(digest);
    else youngChunks++;
  };
  await listItems(node, timeoutMs, onItem, signal);
  return { orphans, youngChunks };
}
