import { isNodeListKey, nodeListKey } from '../src/keys.js';
import { decodeNodes, encodeNodes } from '../src/recorded-nodes.js';
import type { ClusterNode } from './cluster-node.js';
import { allOf } from './deadline.js';
import { listItems } from './metadump.js';
import type { Placements } from './placement.js';

/** Records that are looked at to explain why an image is not found. */
const RECORDS_MAX = 1000;

/** A record of a node list: its key, and a node that holds it. */
export interface FoundNodeList {
  key: string;
  node: ClusterNode;
}

/**
 * Records on each node which node lists it is used with. A manifest stands on one node only, so a removal whose node list
 * lacks that node would take the image's chunks on the others for nobody's; the record says that a node is missing.
 */
export class NodeLists {
  readonly #nodes: readonly ClusterNode[];
  readonly #placements: Placements;
  readonly #timeoutMs: number;
  #recording: Promise<void> | null = null;
  #foreign: Promise<string | null> | null = null;

  constructor(nodes: readonly ClusterNode[], placements: Placements, timeoutMs: number) {
    this.#nodes = nodes;
    this.#placements = placements;
    this.#timeoutMs = timeoutMs;
  }

  /** Makes all nodes know this client's list, once. A list of one node has no other one that could be missing. */
  record(): Promise<void> {
    if (this.#nodes.length === 1) return Promise.resolve();
    this.#recording ??= this.#write().catch((error) => {
      this.#recording = null;
      throw error;
    });
    return this.#recording;
  }

  /**
   * Why an image may not be found, or null: nodes are used with a list that has a node more. The nodes list their items
   * for that, so they are asked once.
   */
  explainAbsence(signal?: AbortSignal): Promise<string | null> {
    this.#foreign ??= this.#searchForeign(signal).catch(() => null);
    return this.#foreign;
  }

  /**
   * Why records forbid to remove chunks, or null: one is of a list with a node that is not in this client's.
   * @param gone names of nodes that may be missing
   */
  async objection(
    found: readonly FoundNodeList[],
    gone: readonly string[],
    signal?: AbortSignal,
  ): Promise<string | null> {
    for (const { key, node } of found) {
      const value = await node.control.get(key, signal);
      if (!value) continue;
      const list = decodeNodes(value);
      if (!list) return `the record of a node list under ${key} on node ${node.name} is damaged; delete it`;
      const { lacking, difference } = this.#placements.of(list);
      if (lacking.every((name) => gone.includes(name))) continue;
      return `node ${node.name} is used with the node list ${difference}`;
    }
    return null;
  }

  /** Deletes the records of lists with nodes that are gone, so that nobody has to name those a second time. */
  async forget(found: readonly FoundNodeList[]): Promise<void> {
    for (const { key, node } of found) {
      const item = await node.control.read(key);
      const list = item && decodeNodes(item.value);
      if (list && this.#placements.of(list).lacking.length > 0) await node.control.deleteSame(key, item);
    }
  }

  async #searchForeign(signal?: AbortSignal): Promise<string | null> {
    const found: FoundNodeList[] = [];
    const search = (node: ClusterNode) =>
      listItems(
        node,
        this.#timeoutMs,
        ({ key }) => {
          if (isNodeListKey(key) && found.length < RECORDS_MAX) found.push({ key, node });
        },
        signal,
      );
    await allOf(this.#nodes.map(search));
    return this.objection(found, [], signal);
  }

  async #write(): Promise<void> {
    // Without epochs: a record is the same, however often nodes are restarted.
    const list = this.#placements.record().map((node) => ({ ...node, epoch: 0n }));
    const key = nodeListKey(list.map(({ name }) => name));
    const value = encodeNodes(list);
    await allOf(this.#nodes.map(({ control }) => control.add(key, value)));
  }
}
