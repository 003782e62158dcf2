import { DigestSet } from '../src/digest-set.js';
import { CHUNK_KEY_PREFIX, isChunkKey } from '../src/keys.js';
import { isZeroRecord, type Manifest, RECORD_BYTES } from '../src/manifest.js';
import type { ClusterNode } from './cluster-node.js';

const DIGEST_BYTES = 16;
/** Chunks that seem to be missing and are asked for before an image is called incomplete. */
const ASKED_MAX = 8;

/** Which chunks the nodes list, to tell of images that lost some. */
export class Completeness {
  readonly #listed = new Map<ClusterNode, DigestSet>();

  constructor(private readonly ownerOf: (key: string) => ClusterNode) {}

  /** Takes note of an item that a node lists. */
  note(node: ClusterNode, key: string): void {
    if (!isChunkKey(key)) return;
    const digests = this.#listed.get(node) ?? new DigestSet();
    this.#listed.set(node, digests);
    digests.add(Buffer.from(key.slice(CHUNK_KEY_PREFIX.length), 'hex'));
  }

  /**
   * How many chunks of an image are missing. The nodes were listed before the manifest was read, so an image that was
   * stored meanwhile may seem to miss some: the first of those are asked for, and when all are there, none is missing.
   */
  async missingOf({ records }: Manifest, signal?: AbortSignal): Promise<number> {
    let missing = 0;
    const doubtful: string[] = [];
    for (let offset = 0; offset < records.length; offset += RECORD_BYTES) {
      if (isZeroRecord(records, offset)) continue;
      const digest = Buffer.from(records.buffer, records.byteOffset + offset, DIGEST_BYTES);
      const key = CHUNK_KEY_PREFIX + digest.toString('hex');
      if ((this.#listed.get(this.ownerOf(key))?.find(digest) ?? -1) >= 0) continue;
      missing++;
      if (doubtful.length < ASKED_MAX) doubtful.push(key);
    }
    const answers = await Promise.all(doubtful.map((key) => this.ownerOf(key).control.get(key, signal)));
    return answers.includes(null) ? missing : 0;
  }
}
