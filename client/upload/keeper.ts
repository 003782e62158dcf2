import { VolleyError } from '../../src/errors.js';
import { quote } from '../../src/keys.js';
import type { Ring } from '../../src/ring.js';
import type { ClusterNode } from '../cluster-node.js';
import { allOf } from '../deadline.js';
import type { UploadLane } from './lane.js';
import { Piece } from './piece.js';
import type { RecordList } from './record-list.js';
import { fileError } from './source.js';

/** How often lost items are sent again before the upload gives up. */
const ROUNDS = 3;

/** Chunks that nodes dropped while they were uploaded, and that could not be sent again. */
class LostChunksError extends VolleyError {
  constructor(name: string, nodes: readonly string[], count: number) {
    const why =
      'evicted for lack of memory (give the node more, -m) or removed by someone else at the same time';
    const where = nodes.join(', ');
    super(
      'ERR_VOLLEY_CHUNK',
      `image ${quote(name)}: ${count} chunks were lost on ${where}: ${why}; upload it again`,
    );
  }
}

export function isLostChunks(error: unknown): boolean {
  return error instanceof LostChunksError;
}

interface KeeperPlan {
  name: string;
  nodes: readonly ClusterNode[];
  ring: Ring;
  /** One per node. */
  lanes: readonly UploadLane[];
  records: RecordList;
  /** An item's bytes once more, or null when they cannot be had again. */
  bytesOf(item: number): Promise<Buffer | null>;
}

/**
 * Makes sure that the nodes still hold what an upload's manifest refers to: nodes may evict, and whoever
 * removes another image at the same time may take chunks that the upload found present.
 */
export class Keeper {
  readonly #plan: KeeperPlan;

  constructor(plan: KeeperPlan) {
    this.#plan = plan;
  }

  /**
   * Checks what could have been lost before the manifest is written. What was sent to a Volley node that does
   * not evict is there.
   */
  keepBefore(): Promise<void> {
    const keeps = ({ volley }: ClusterNode) => volley !== null && volley.all.on_full !== 'evict';
    return this.#keep((lane, node) => (keeps(node) ? lane.present : lane.present.concat(lane.sent)));
  }

  /**
   * Checks everything after the manifest is written, and takes back the exptime that an rm may have given it: an rm
   * that lists the manifests from then on knows that it is used.
   */
  keepAfter(): Promise<void> {
    return this.#keep((lane) => lane.present.concat(lane.sent));
  }

  async #keep(itemsOf: (lane: UploadLane, node: ClusterNode) => readonly number[]): Promise<void> {
    const { lanes, nodes, records, name } = this.#plan;
    let lost: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const probes = lanes.map(async (lane, index) => {
        const items = itemsOf(lane, nodes[index]!);
        if (items.length === 0 || (round === 0 && (await lane.keptAll()))) return [];
        return lane.missing(items, (item) => records.key(item));
      });
      lost = (await allOf(probes)).flat();
      if (lost.length === 0) return;
      for (const item of lost) await this.#restore(item, lost);
    }
    throw new LostChunksError(name, this.#nodesOf(lost), lost.length);
  }

  async #restore(item: number, lost: readonly number[]): Promise<void> {
    const { lanes, ring, records, name, bytesOf } = this.#plan;
    const data = await bytesOf(item);
    if (!data) throw new LostChunksError(name, this.#nodesOf(lost), lost.length);
    if (!(await recordOf(data)).equals(records.record(item)))
      throw fileError(quote(name), 'its source was changed while it was read');
    await lanes[ring.node(records.partition(item))]!.store(records.key(item), data);
  }

  #nodesOf(items: readonly number[]): string[] {
    const { nodes, ring, records } = this.#plan;
    return [...new Set(items.map((item) => nodes[ring.node(records.partition(item))]!.name))];
  }
}

/** The record of one chunk. */
async function recordOf(chunk: Buffer): Promise<Buffer> {
  const piece = new Piece(chunk.length, chunk.length, () => {});
  piece.length = chunk.length;
  piece.fill(0, chunk);
  await piece.write();
  return piece.records;
}
