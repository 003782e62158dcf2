import { DigestSet } from '../src/digest-set.js';
import { CHUNK_KEY_PREFIX, isChunkKey, partitionOfDigest } from '../src/keys.js';
import { isZeroRecord, type Manifest, RECORD_BYTES } from '../src/manifest.js';
import type { PartitionMap } from '../src/ring.js';
import type { ClusterNode } from './cluster-node.js';

const DIGEST_BYTES = 16;
/** Chunks that seem to be missing and are asked for before an image is called incomplete. */
const ASKED_MAX = 8;

/** Which chunks the nodes list, to tell of images that lost some. */
export class Completeness {
  readonly #nodes: readonly ClusterNode[];
  readonly #listed = new Map<ClusterNode, DigestSet>();

  constructor(nodes: readonly ClusterNode[]) {
    this.#nodes = nodes;
  }

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
  async missingOf({ records }: Manifest, placement: PartitionMap, signal?: AbortSignal): Promise<number> {
    let missing = 0;
    const doubtful: { node: ClusterNode; key: string }[] = [];
    for (let offset = 0; offset < records.length; offset += RECORD_BYTES) {
      if (isZeroRecord(records, offset)) continue;
      const node = this.#nodes[placement.node(partitionOfDigest(records, offset))]!;
      if ((this.#listed.get(node)?.find(records, offset) ?? -1) >= 0) continue;
      missing++;
      if (doubtful.length === ASKED_MAX) continue;
      const digest = Buffer.from(records.buffer, records.byteOffset + offset, DIGEST_BYTES).toString('hex');
      doubtful.push({ node, key: CHUNK_KEY_PREFIX + digest });
    }
    const answers = await Promise.all(doubtful.map(({ node, key }) => node.control.get(key, signal)));
    return answers.includes(null) ? missing : 0;
  }
}
