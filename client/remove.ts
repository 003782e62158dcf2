import { DigestSet } from '../src/digest-set.js';
import { isVolleyError, VolleyError } from '../src/errors.js';
import { checkName, isManifestKey, manifestKey, partitionOfDigest, quote } from '../src/keys.js';
import {
  chunkLength,
  decodeRoot,
  isZeroRecord,
  type Manifest,
  type ManifestRoot,
  ManifestTooNew,
  RECORD_BYTES,
} from '../src/manifest.js';
import type { ClusterNode } from './cluster-node.js';
import { throwIfAborted } from './deadline.js';
import type { ManifestStore } from './manifest-store.js';
import type { Placement, Placements } from './placement.js';
import { RemovalGuard } from './removal-guard.js';
import { freeChunks, type SentenceTarget } from './sentence.js';

/** What removing an image did. */
export interface RemoveReport {
  name: string;
  /** Chunks of the image that were there and that no other image uses, and their bytes. */
  removedChunks: number;
  removedBytes: number;
  /** Within how many seconds from now the nodes free them; 0 when there are none. */
  freedWithinSeconds: number;
  /** Chunks that stay because other images use them. */
  sharedChunks: number;
  /** Chunks that no other image uses and that were not there any more. */
  missingChunks: number;
  /** Why chunks that may be nobody's stay, or null. */
  keptReason: string | null;
}

/** What a removal works on. */
export interface RemoveTarget extends SentenceTarget {
  manifests: ManifestStore;
  placements: Placements;
}

/** The contents that an image is made of: its chunks, then the pieces of its manifest's body. */
interface Contents {
  digests: DigestSet;
  /** Bytes per digest; 0 for the manifest's pieces. */
  lengths: number[];
  chunks: number;
  placement: Placement;
}

/**
 * Removes an image: its manifest first, so that nobody begins to load it, then the chunks that no other image uses.
 * @param name the image's name, or its manifest's key
 * @throws VolleyError ERR_VOLLEY_NODE_LIST when it was stored with another node list: nothing is removed then;
 * ERR_VOLLEY_NAME, _NOT_FOUND, _CONFLICT when another image took its place meanwhile, or that of a
 * node that fails
 */
export async function removeImage(
  target: RemoveTarget,
  name: string,
  signal?: AbortSignal,
): Promise<RemoveReport> {
  checkName(name);
  const keys = isManifestKey(name) ? [manifestKey(name), name] : [manifestKey(name)];
  const { key, node, item } = await target.manifests.find(name, keys, signal);
  const report = {
    name,
    removedChunks: 0,
    removedBytes: 0,
    freedWithinSeconds: 0,
    sharedChunks: 0,
    missingChunks: 0,
    keptReason: null as string | null,
  };
  let contents: Contents | null = null;
  try {
    const place = { key, image: quote(name), node: node.name };
    const decoded = decodeRoot(item.value, place);
    const placement = checkNodeList(target, decoded, node);
    const manifest = await target.manifests.complete(decoded, place, signal);
    contents = contentsOf(manifest, decoded.pieces, placement);
  } catch (error) {
    if (!isVolleyError(error) || error.code !== 'ERR_VOLLEY_MANIFEST') throw error;
    if (error instanceof ManifestTooNew) throw error;
    report.keptReason =
      'its manifest is damaged, so its chunks are not known; volley rm --orphans finds them';
  }
  throwIfAborted(signal);
  if ((await node.control.deleteSame(key, item)) === 'changed') throw replacedMeanwhile(name);
  if (!contents) return report;
  try {
    return { ...report, ...(await removeContents(target, contents, signal)) };
  } catch (error) {
    if (!isVolleyError(error)) throw error;
    const text = `image ${quote(name)} is removed, but chunks of it are left (volley rm --orphans): ${error.message}`;
    throw new VolleyError(error.code, text, { cause: error });
  }
}

/**
 * Makes sure that an image is removed with the node list that it was stored with: by another one, its chunks, and the
 * images that share them, would be looked for in wrong places.
 */
function checkNodeList(
  { placements, manifests, goneNodes }: RemoveTarget,
  root: ManifestRoot,
  node: ClusterNode,
): Placement {
  const placement = placements.of(root.nodes);
  const { difference, lacking } = placement;
  if (!placement.isOwn(goneNodes)) {
    const gone =
      lacking.length > 0 ? `, or say that ${lacking[0]} is gone for good (--gone ${lacking.join(',')})` : '';
    const text = `image ${quote(root.name)} is not removed: it was stored with the node list ${difference}`;
    throw new VolleyError('ERR_VOLLEY_NODE_LIST', `${text}; remove it with its own node list${gone}`);
  }
  const misplaced = manifests.misplaced(root, node);
  if (misplaced !== null && goneNodes.length === 0)
    throw new VolleyError('ERR_VOLLEY_NODE_LIST', `${misplaced}; it is not removed`);
  return placement;
}

/** The image that was to be removed is no more; the one that is there now was stored by somebody else just now. */
function replacedMeanwhile(name: string): VolleyError {
  const text = `image ${quote(name)} was replaced by another upload while it was being removed`;
  return new VolleyError(
    'ERR_VOLLEY_CONFLICT',
    `${text}; nothing was removed; run volley rm again to remove the new one`,
  );
}

function contentsOf(manifest: Manifest, pieces: Uint8Array | null, placement: Placement): Contents {
  const digests = new DigestSet();
  const lengths: number[] = [];
  const { records, chunkCount, imageBytes, chunkBytes } = manifest;
  for (let chunk = 0; chunk < chunkCount; chunk++) {
    const offset = chunk * RECORD_BYTES;
    if (isZeroRecord(records, offset)) continue;
    if (digests.add(records, offset) === lengths.length)
      lengths.push(chunkLength(chunk, imageBytes, chunkBytes));
  }
  const chunks = digests.size;
  for (let offset = 0; pieces && offset < pieces.length; offset += RECORD_BYTES) digests.add(pieces, offset);
  return { digests, lengths, chunks, placement };
}

async function removeContents(target: RemoveTarget, contents: Contents, signal?: AbortSignal) {
  const { digests, lengths, chunks, placement } = contents;
  const used = new Uint8Array(digests.size);
  const guard = new RemovalGuard(target.goneNodes);
  const startMs = performance.now();
  const nodeLists = await target.catalog.visit((found) => {
    guard.note(found);
    for (const records of [found.manifest?.records, found.root?.pieces]) {
      for (let offset = 0; records && offset < records.length; offset += RECORD_BYTES) {
        const ordinal = digests.find(records, offset);
        if (ordinal >= 0) used[ordinal] = 1;
      }
    }
  }, signal);
  const listed = await target.nodeLists.objection(nodeLists, target.goneNodes, signal);
  const objection = guard.objection()?.message ?? listed;
  if (objection !== null) return { keptReason: objection };
  const unused = target.nodes.map(() => new DigestSet());
  const placeOf = (ordinal: number) => placement.node(partitionOfDigest(digests.digest(ordinal)));
  for (let ordinal = 0; ordinal < digests.size; ordinal++) {
    if (used[ordinal] === 0) unused[placeOf(ordinal)]!.add(digests.digest(ordinal));
  }
  const verdict = await freeChunks(target, unused, performance.now() - startMs, signal);
  if (verdict.keptReason) return { keptReason: verdict.keptReason };
  const counts = { removedChunks: 0, removedBytes: 0, sharedChunks: 0, missingChunks: 0 };
  for (let ordinal = 0; ordinal < chunks; ordinal++) {
    const node = placeOf(ordinal);
    const place = unused[node]!.find(digests.digest(ordinal));
    if (used[ordinal] === 1 || verdict.rescued[node]!.has(place)) counts.sharedChunks++;
    else if (verdict.absent[node]!.has(place)) counts.missingChunks++;
    else {
      counts.removedChunks++;
      counts.removedBytes += lengths[ordinal]!;
    }
  }
  return { ...counts, freedWithinSeconds: verdict.seconds };
}
