import { checkName } from '../../src/keys.js';
import { CHUNK_BYTES_DEFAULT, checkChunkBytes, type ImageKind } from '../../src/manifest.js';
import type { Ring } from '../../src/ring.js';
import type { ClusterNode } from '../cluster-node.js';
import type { ManifestStore } from '../manifest-store.js';
import type { NodeLists } from '../node-lists.js';
import type { Placements } from '../placement.js';
import type { HashPool } from './hash-pool.js';
import type { UploadProgress, UploadReport } from './report.js';
import { checkRoom, uploadUntilRoom } from './room.js';
import { openSource, type UploadSource } from './source.js';

export interface UploadOptions {
  /** The image's name: 1 to 512 bytes of UTF-8, no control characters, no blanks at its ends. */
  name: string;
  /** A power of two from 4 KiB to 1 MiB. Default 32 KiB. */
  chunkBytes?: number;
  /** Default `raw`. */
  kind?: ImageKind;
  /** Send all chunks, also those that the nodes hold, so that a corrupt one heals. Default false. */
  resend?: boolean;
  /** Refuse at once when a stock memcached has no room for what it lacks of the image. Default true. */
  checkRoom?: boolean;
  /** Is called with a line for the user when the upload takes longer for a reason. */
  onNotice?: (text: string) => void;
  signal?: AbortSignal;
  onProgress?: (progress: UploadProgress) => void;
}

/** Where an upload goes. */
export interface UploadTarget {
  nodes: readonly ClusterNode[];
  ring: Ring;
  placements: Placements;
  nodeLists: NodeLists;
  manifests: ManifestStore;
  hashes: HashPool;
  timeoutMs: number;
}

/** Stores an image. The name, the options and the source are checked before any node is asked. */
export async function upload(
  target: UploadTarget,
  from: UploadSource,
  options: UploadOptions,
): Promise<UploadReport> {
  const {
    name,
    chunkBytes = CHUNK_BYTES_DEFAULT,
    kind = 'raw',
    resend = false,
    checkRoom: isRoomChecked = true,
    onNotice,
    signal,
    onProgress,
  } = options;
  checkName(name);
  checkChunkBytes(chunkBytes);
  const source = await openSource(from);
  try {
    const plan = {
      ...target,
      name,
      chunkBytes,
      kind,
      resend,
      countsOnly: false,
      source,
      signal,
      onProgress,
      onNotice,
    };
    if (isRoomChecked) await checkRoom(plan);
    return await uploadUntilRoom(plan);
  } finally {
    await source.close();
  }
}
