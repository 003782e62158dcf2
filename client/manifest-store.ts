import { isVolleyError, VolleyError } from '../src/errors.js';
import { checkName, manifestKey, partitionOfKey, quote } from '../src/keys.js';
import {
  BODY_PIECE_BYTES,
  chunkCountOf,
  completeManifest,
  createdMsOf,
  decodeRoot,
  type Manifest,
  type ManifestPlace,
  type ManifestRoot,
  manifestError,
  placeOfImage,
  RECORD_BYTES,
} from '../src/manifest.js';
import { native } from '../src/native.js';
import type { ClusterNode } from './cluster-node.js';
import type { ReadItem } from './control/protocol.js';
import { mapLimited } from './deadline.js';
import { LoadRun } from './load/load-run.js';
import type { NodeLists } from './node-lists.js';
import type { Placements } from './placement.js';

/** How often a manifest is tried to be put when others write and remove the same name all the time. */
const PUT_ATTEMPTS = 8;
/** Nodes that are asked at a time for a manifest that is not where it belongs. */
const PARALLEL = 64;

/** A manifest's root as it stands on a node. */
export interface FoundRoot {
  key: string;
  node: ClusterNode;
  item: ReadItem;
}

/** Manifests in the cluster: fetched and checked, written, removed. */
export class ManifestStore {
  readonly #nodes: readonly ClusterNode[];
  readonly #placements: Placements;
  readonly #nodeLists: NodeLists;
  readonly #readTimeoutMs: number;

  constructor(
    nodes: readonly ClusterNode[],
    placements: Placements,
    nodeLists: NodeLists,
    readTimeoutMs: number,
  ) {
    this.#readTimeoutMs = readTimeoutMs;
    this.#nodes = nodes;
    this.#placements = placements;
    this.#nodeLists = nodeLists;
  }

  /** The node that a manifest belongs to by this client's node list. */
  owner(key: string): ClusterNode {
    return this.#nodes[this.#placements.own.node(partitionOfKey(key))]!;
  }

  /** @throws VolleyError ERR_VOLLEY_NAME, _NOT_FOUND or _MANIFEST, or that of a node that fails */
  async open(name: string, signal?: AbortSignal): Promise<Manifest> {
    checkName(name);
    const key = manifestKey(name);
    const found = await this.#locate(
      key,
      ({ control }) => control.get(key, signal),
      (bytes) => bytes,
    );
    if (!found) throw await this.#notFound(name, signal);
    const place = placeOfImage(name, found.node.name);
    const root = decodeRoot(found.value, place);
    return this.complete(root, place, signal);
  }

  /**
   * Finds the root that stands under one of some keys.
   * @param name the image's name, for the error
   * @throws VolleyError ERR_VOLLEY_NOT_FOUND, or that of a node that fails
   */
  async find(name: string, keys: readonly string[], signal?: AbortSignal): Promise<FoundRoot> {
    for (const key of keys) {
      const found = await this.#locate(
        key,
        ({ control }) => control.read(key, signal),
        ({ value }) => value,
      );
      if (found) return { key, node: found.node, item: found.value };
    }
    throw await this.#notFound(name, signal);
  }

  /**
   * What is wrong with the place of a manifest, or null: it stands where it belongs by the node list that it was stored
   * with, or by this client's.
   */
  misplaced({ name, nodes }: ManifestRoot, node: ClusterNode): string | null {
    const key = manifestKey(name);
    const placement = this.#placements.of(nodes);
    const owner = this.#nodes[placement.node(partitionOfKey(key))]!;
    if (owner === node) return null;
    const { difference } = placement;
    const place = `image ${quote(name)}: its manifest stands on node ${node.name}, but by this node list it belongs to ${owner.name}`;
    const why = difference === null ? '' : `; it was stored with the node list ${difference}`;
    return `${place}${why}; use the node list of its upload, or upload it again`;
  }

  /** Fetches the body that a root refers to. @throws VolleyError ERR_VOLLEY_MANIFEST, or that of a node that fails */
  async complete(root: ManifestRoot, place: ManifestPlace, signal?: AbortSignal): Promise<Manifest> {
    const body = root.body ?? (await this.#fetchBody(root, root.pieces!, place, signal));
    return completeManifest(root, body, place);
  }

  /**
   * Writes a manifest's root: by `replace` or `add`, because a `set` that memcached refuses for lack of memory takes
   * the old value away. Returns whether it replaced one.
   * @throws VolleyError ERR_VOLLEY_NODE_FULL or ERR_VOLLEY_TOO_LARGE when the node refuses it; what was there stays
   */
  async put(name: string, root: Buffer, signal?: AbortSignal): Promise<boolean> {
    const key = manifestKey(name);
    const { control, name: node } = this.owner(key);
    for (let attempt = 0; attempt < PUT_ATTEMPTS; attempt++) {
      if (await control.replace(key, root, signal)) return true;
      if (await control.add(key, root, signal)) return false;
    }
    const text = `image ${quote(name)}: its manifest on node ${node} is written and removed by others all the time`;
    throw new VolleyError('ERR_VOLLEY_PROTOCOL', `${text}; upload it again`);
  }

  /** Manifests of a name on other nodes than the one that it belongs to: stored with other node lists. */
  async strays(name: string, signal?: AbortSignal): Promise<FoundRoot[]> {
    const key = manifestKey(name);
    const owner = this.owner(key);
    const others = this.#nodes.filter((node) => node !== owner);
    const items = await mapLimited(others, PARALLEL, ({ control }) => control.read(key, signal));
    return items.flatMap((item, i) => (item ? [{ key, node: others[i]!, item }] : []));
  }

  /** Removes a manifest, unless somebody else has stored another image under the name since `root` was put. */
  async removeIfSame(name: string, root: Buffer): Promise<void> {
    const key = manifestKey(name);
    const { control } = this.owner(key);
    const item = await control.read(key);
    if (item?.value.equals(root)) await control.deleteSame(key, item);
  }

  /** Asks the node that a manifest belongs to, then all others; of several the one that was stored last counts. */
  async #locate<T>(
    key: string,
    ask: (node: ClusterNode) => Promise<T | null>,
    bytesOf: (value: T) => Buffer,
  ): Promise<{ node: ClusterNode; value: T } | null> {
    const owner = this.owner(key);
    const first = await ask(owner);
    if (first) return { node: owner, value: first };
    const others = this.#nodes.filter((node) => node !== owner);
    const answers = await mapLimited(others, PARALLEL, ask);
    const found = answers.flatMap((value, i) => (value ? [{ node: others[i]!, value }] : []));
    found.sort((a, b) => createdMsOf(bytesOf(b.value)) - createdMsOf(bytesOf(a.value)));
    return found[0] ?? null;
  }

  async #fetchBody(
    root: ManifestRoot,
    pieces: Uint8Array,
    place: ManifestPlace,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const bytes = root.chunkCount * RECORD_BYTES;
    const chunkCount = chunkCountOf(bytes, BODY_PIECE_BYTES);
    const label = `${place.image} (manifest)`;
    const placement = this.#placements.of(root.nodes);
    const { difference, lossHelp } = placement;
    const target = {
      ...{ label, bytes, chunkBytes: BODY_PIECE_BYTES, records: pieces },
      ...{ firstChunk: 0, chunkCount, lossHelp },
    };
    const destination = native().GuestMemory.create(bytes);
    try {
      await new LoadRun(this.#nodes, placement, target, {
        destination,
        destinationIsZero: true,
        readTimeoutMs: this.#readTimeoutMs,
        signal,
      }).run();
      return destination.read(0, bytes);
    } catch (error) {
      if (!isVolleyError(error) || error.code !== 'ERR_VOLLEY_CHUNK') throw error;
      const why = difference === null ? '' : `; it was stored with the node list ${difference}`;
      throw manifestError(place, `a part of its body cannot be read${why}`, error);
    } finally {
      destination.close();
    }
  }

  async #notFound(name: string, signal?: AbortSignal): Promise<VolleyError> {
    const why = await this.#nodeLists.explainAbsence(signal);
    const help = why === null ? 'volley images lists what there is' : `${why}; take that list`;
    return new VolleyError(
      'ERR_VOLLEY_NOT_FOUND',
      `there is no image ${quote(name)} on these nodes; ${help}`,
    );
  }
}
