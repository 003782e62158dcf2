import { DigestSet } from '../src/digest-set.js';
import { VolleyError } from '../src/errors.js';
import { CHUNK_KEY_PREFIX, isChunkKey } from '../src/keys.js';
import type { ClusterNode } from './cluster-node.js';
import { type ListedItem, listItems } from './metadump.js';
import { addDigests } from './remove.js';
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
 * @throws VolleyError ERR_VOLLEY_MANIFEST when a manifest is damaged, for what it refers to is not known
 */
export async function removeOrphans(
  target: SentenceTarget,
  minAgeS: number,
  signal?: AbortSignal,
): Promise<OrphansReport> {
  const startMs = performance.now();
  const used = await usedDigests(target, signal);
  const listedMs = performance.now() - startMs;
  const found = [];
  for (const node of target.nodes) found.push(await orphansOn(node, used, minAgeS, target.timeoutMs, signal));
  const items = found.map(({ orphans }) => orphans);
  const { rescued, seconds, keptReason } = await freeChunks(target, items, listedMs, signal);
  const nodes = found.map(({ orphans, youngChunks }, index) => ({
    name: target.nodes[index]!.name,
    removedChunks: keptReason ? 0 : orphans.size - rescued[index]!.size,
    youngChunks,
  }));
  return {
    removedChunks: nodes.reduce((sum, { removedChunks }) => sum + removedChunks, 0),
    youngChunks: nodes.reduce((sum, { youngChunks }) => sum + youngChunks, 0),
    freedWithinSeconds: seconds,
    keptReason,
    nodes,
  };
}

async function usedDigests({ catalog }: SentenceTarget, signal?: AbortSignal): Promise<DigestSet> {
  const used = new DigestSet();
  const damaged: string[] = [];
  await catalog.visit(({ key, manifest, root }) => {
    if (!manifest) damaged.push(root?.name ?? key);
    addDigests(manifest?.records ?? null, used);
    addDigests(root?.pieces ?? null, used);
  }, signal);
  if (damaged.length === 0) return used;
  const why = `${damaged.length} images are damaged, and what they use is not known`;
  const text = `no chunk was removed: ${why}; see volley images, then upload or remove them`;
  throw new VolleyError('ERR_VOLLEY_MANIFEST', text);
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
