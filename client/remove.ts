import { DigestSet } from '../src/digest-set.js';
import { isVolleyError, VolleyError } from '../src/errors.js';
import {
  CHUNK_KEY_PREFIX,
  checkName,
  isManifestKey,
  manifestKey,
  partitionOfDigest,
  quote,
} from '../src/keys.js';
import { chunkLength, decodeRoot, isZeroRecord, type Manifest, RECORD_BYTES } from '../src/manifest.js';
import type { Ring } from '../src/ring.js';
import type { Catalog } from './catalog.js';
import type { ClusterNode } from './cluster-node.js';
import { allOf, throwIfAborted } from './deadline.js';
import { deleteItems } from './delete-items.js';
import type { ManifestStore } from './manifest-store.js';

/** What removing an image did. */
export interface RemoveReport {
  name: string;
  /** Chunks of the image that no other image uses, and their bytes. */
  removedChunks: number;
  removedBytes: number;
  /** Chunks that stay because other images use them. */
  sharedChunks: number;
  /** Why chunks that may be nobody's stay, or null. */
  keptReason: string | null;
}

/** What a removal works on. */
export interface RemoveTarget {
  nodes: readonly ClusterNode[];
  ring: Ring;
  manifests: ManifestStore;
  catalog: Catalog;
  timeoutMs: number;
}

/** The contents that an image is made of: its chunks, then the pieces of its manifest's body. */
interface Contents {
  digests: DigestSet;
  /** Bytes per digest; 0 for the manifest's pieces. */
  lengths: number[];
  chunks: number;
}

/**
 * Removes an image: its manifest first, so that nobody begins to load it, then the chunks that no other image uses.
 * @param name the image's name, or its manifest's key
 * @throws VolleyError ERR_VOLLEY_NAME, ERR_VOLLEY_NOT_FOUND, or that of a node that fails
 */
export async function removeImage(
  target: RemoveTarget,
  name: string,
  signal?: AbortSignal,
): Promise<RemoveReport> {
  const { key, root } = await findRoot(target, name, signal);
  const owner = target.manifests.owner(key);
  const report = {
    name,
    removedChunks: 0,
    removedBytes: 0,
    sharedChunks: 0,
    keptReason: null as string | null,
  };
  let contents: Contents | null = null;
  try {
    const place = { key, image: quote(name), node: owner.name };
    const decoded = decodeRoot(root, place);
    contents = contentsOf(await target.manifests.complete(decoded, place, signal), decoded.pieces);
  } catch (error) {
    if (!isVolleyError(error) || error.code !== 'ERR_VOLLEY_MANIFEST') throw error;
    report.keptReason =
      'its manifest is damaged, so its chunks are not known; volley rm --orphans finds them';
  }
  throwIfAborted(signal);
  await owner.control.delete(key);
  if (!contents) return report;
  try {
    return { ...report, ...(await removeContents(target, contents, signal)) };
  } catch (error) {
    if (!isVolleyError(error)) throw error;
    const text = `image ${quote(name)} is removed, but chunks of it are left (volley rm --orphans): ${error.message}`;
    throw new VolleyError(error.code, text, { cause: error });
  }
}

async function findRoot({ manifests }: RemoveTarget, name: string, signal?: AbortSignal) {
  checkName(name);
  const keys = isManifestKey(name) ? [manifestKey(name), name] : [manifestKey(name)];
  for (const key of keys) {
    const root = await manifests.owner(key).control.get(key, signal);
    if (root) return { key, root };
  }
  const help = 'volley images lists what there is';
  throw new VolleyError('ERR_VOLLEY_NOT_FOUND', `there is no image ${quote(name)} on these nodes; ${help}`);
}

function contentsOf(manifest: Manifest, pieces: Uint8Array | null): Contents {
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
  addDigests(pieces, digests);
  return { digests, lengths, chunks };
}

/** Adds what the records of a manifest, or of its body's pieces, stand for. */
export function addDigests(records: Uint8Array | null, digests: DigestSet): void {
  if (!records) return;
  for (let offset = 0; offset < records.length; offset += RECORD_BYTES) {
    if (!isZeroRecord(records, offset)) digests.add(records, offset);
  }
}

async function removeContents(target: RemoveTarget, contents: Contents, signal?: AbortSignal) {
  const { digests, lengths, chunks } = contents;
  const used = new Uint8Array(digests.size);
  let damaged = 0;
  const mark = (records: Uint8Array | null) => {
    for (let offset = 0; records && offset < records.length; offset += RECORD_BYTES) {
      const ordinal = digests.find(records, offset);
      if (ordinal >= 0) used[ordinal] = 1;
    }
  };
  await target.catalog.visit(({ manifest, root }) => {
    if (!manifest) damaged++;
    mark(manifest?.records ?? null);
    mark(root?.pieces ?? null);
  }, signal);
  if (damaged > 0) {
    const help = 'see volley images, upload or remove those, then volley rm --orphans';
    return { keptReason: `${damaged} other images are damaged, and what they use is not known; ${help}` };
  }
  const unused = Array.from(used.keys()).filter((ordinal) => used[ordinal] === 0);
  await deleteDigests(target, digests, unused, signal);
  const removed = unused.filter((ordinal) => ordinal < chunks);
  return {
    removedChunks: removed.length,
    removedBytes: removed.reduce((sum, ordinal) => sum + lengths[ordinal]!, 0),
    sharedChunks: chunks - removed.length,
  };
}

/** Deletes the chunks of these ordinals from the nodes that own them. Returns how many were there. */
async function deleteDigests(
  { nodes, ring, timeoutMs }: Pick<RemoveTarget, 'nodes' | 'ring' | 'timeoutMs'>,
  digests: DigestSet,
  ordinals: readonly number[],
  signal?: AbortSignal,
): Promise<number> {
  const keys: string[][] = nodes.map(() => []);
  for (const ordinal of ordinals) {
    const digest = digests.digest(ordinal);
    keys[ring.node(partitionOfDigest(digest))]!.push(CHUNK_KEY_PREFIX + digest.toString('hex'));
  }
  const deletions = nodes.map((node, index) => deleteItems(node, keys[index]!, timeoutMs, signal));
  return (await allOf(deletions)).reduce((sum, count) => sum + count, 0);
}
