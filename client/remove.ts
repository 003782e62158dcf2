import { DigestSet } from '../src/digest-set.js';
import { isVolleyError, VolleyError } from '../src/errors.js';
import { checkName, isManifestKey, manifestKey, partitionOfDigest, quote } from '../src/keys.js';
import { chunkLength, decodeRoot, isZeroRecord, type Manifest, RECORD_BYTES } from '../src/manifest.js';
import { throwIfAborted } from './deadline.js';
import type { ManifestStore } from './manifest-store.js';
import { damagedReason, freeChunks, type SentenceTarget } from './sentence.js';

/** What removing an image did. */
export interface RemoveReport {
  name: string;
  /** Chunks of the image that no other image uses, and their bytes. */
  removedChunks: number;
  removedBytes: number;
  /** Within how many seconds from now the nodes free them; 0 when there are none. */
  freedWithinSeconds: number;
  /** Chunks that stay because other images use them. */
  sharedChunks: number;
  /** Why chunks that may be nobody's stay, or null. */
  keptReason: string | null;
}

/** What a removal works on. */
export interface RemoveTarget extends SentenceTarget {
  manifests: ManifestStore;
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
 * @throws VolleyError ERR_VOLLEY_NAME, _NOT_FOUND, _CONFLICT when another image took its place meanwhile, or that of a
 * node that fails
 */
export async function removeImage(
  target: RemoveTarget,
  name: string,
  signal?: AbortSignal,
): Promise<RemoveReport> {
  const { key, item } = await findRoot(target, name, signal);
  const owner = target.manifests.owner(key);
  const report = {
    name,
    removedChunks: 0,
    removedBytes: 0,
    freedWithinSeconds: 0,
    sharedChunks: 0,
    keptReason: null as string | null,
  };
  let contents: Contents | null = null;
  try {
    const place = { key, image: quote(name), node: owner.name };
    const decoded = decodeRoot(item.value, place);
    contents = contentsOf(await target.manifests.complete(decoded, place, signal), decoded.pieces);
  } catch (error) {
    if (!isVolleyError(error) || error.code !== 'ERR_VOLLEY_MANIFEST') throw error;
    report.keptReason =
      'its manifest is damaged, so its chunks are not known; volley rm --orphans finds them';
  }
  throwIfAborted(signal);
  if ((await owner.control.deleteSame(key, item)) === 'changed') throw replacedMeanwhile(name);
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
    const item = await manifests.owner(key).control.read(key, signal);
    if (item) return { key, item };
  }
  const help = 'volley images lists what there is';
  throw new VolleyError('ERR_VOLLEY_NOT_FOUND', `there is no image ${quote(name)} on these nodes; ${help}`);
}

/** The image that was to be removed is no more; the one that is there now was stored by somebody else just now. */
function replacedMeanwhile(name: string): VolleyError {
  const text = `image ${quote(name)} was replaced by another upload while it was being removed`;
  return new VolleyError(
    'ERR_VOLLEY_CONFLICT',
    `${text}; nothing was removed; run volley rm again to remove the new one`,
  );
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
  const startMs = performance.now();
  await target.catalog.visit(({ manifest, root }) => {
    if (!manifest) damaged++;
    mark(manifest?.records ?? null);
    mark(root?.pieces ?? null);
  }, signal);
  if (damaged > 0) return { keptReason: damagedReason(damaged) };
  const unused = target.nodes.map(() => new DigestSet());
  const placeOf = (ordinal: number) => target.ring.node(partitionOfDigest(digests.digest(ordinal)));
  for (let ordinal = 0; ordinal < digests.size; ordinal++) {
    if (used[ordinal] === 0) unused[placeOf(ordinal)]!.add(digests.digest(ordinal));
  }
  const verdict = await freeChunks(target, unused, performance.now() - startMs, signal);
  if (verdict.keptReason) return { keptReason: verdict.keptReason };
  let removedChunks = 0;
  let removedBytes = 0;
  for (let ordinal = 0; ordinal < chunks; ordinal++) {
    const node = placeOf(ordinal);
    if (used[ordinal] === 1 || verdict.rescued[node]!.has(unused[node]!.find(digests.digest(ordinal))))
      continue;
    removedChunks++;
    removedBytes += lengths[ordinal]!;
  }
  const sharedChunks = chunks - removedChunks;
  return { removedChunks, removedBytes, sharedChunks, freedWithinSeconds: verdict.seconds };
}
