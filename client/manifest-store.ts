import { isVolleyError, VolleyError } from '../src/errors.js';
import { checkName, manifestKey, partitionOfKey, quote } from '../src/keys.js';
import {
  BODY_PIECE_BYTES,
  chunkCountOf,
  completeManifest,
  decodeRoot,
  type Manifest,
  type ManifestPlace,
  type ManifestRoot,
  manifestError,
  placeOfImage,
  RECORD_BYTES,
} from '../src/manifest.js';
import { native } from '../src/native.js';
import type { Ring } from '../src/ring.js';
import type { ClusterNode } from './cluster-node.js';
import { LoadRun } from './load/load-run.js';

/** How often a manifest is tried to be put when others write and remove the same name all the time. */
const PUT_ATTEMPTS = 8;

/** Manifests in the cluster: fetched and checked, written, removed. */
export class ManifestStore {
  readonly #nodes: readonly ClusterNode[];
  readonly #ring: Ring;

  constructor(nodes: readonly ClusterNode[], ring: Ring) {
    this.#nodes = nodes;
    this.#ring = ring;
  }

  /** The node that a manifest belongs to. */
  owner(key: string): ClusterNode {
    return this.#nodes[this.#ring.node(partitionOfKey(key))]!;
  }

  /** @throws VolleyError ERR_VOLLEY_NAME, _NOT_FOUND or _MANIFEST, or that of a node that fails */
  async open(name: string, signal?: AbortSignal): Promise<Manifest> {
    checkName(name);
    const key = manifestKey(name);
    const node = this.owner(key);
    const root = await node.control.get(key, signal);
    if (!root) {
      const help = 'volley images lists what there is';
      throw new VolleyError(
        'ERR_VOLLEY_NOT_FOUND',
        `there is no image ${quote(name)} on these nodes; ${help}`,
      );
    }
    const place = placeOfImage(name, node.name);
    return this.complete(decodeRoot(root, place), place, signal);
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

  /** Removes a manifest, unless somebody else has stored another image under the name since `root` was put. */
  async removeIfSame(name: string, root: Buffer): Promise<void> {
    const key = manifestKey(name);
    const { control } = this.owner(key);
    const item = await control.read(key);
    if (item?.value.equals(root)) await control.deleteSame(key, item);
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
    const target = { label, bytes, chunkBytes: BODY_PIECE_BYTES, records: pieces, firstChunk: 0, chunkCount };
    const destination = native().GuestMemory.create(bytes);
    try {
      await new LoadRun(this.#nodes, this.#ring, target, {
        destination,
        destinationIsZero: true,
        signal,
      }).run();
      return destination.read(0, bytes);
    } catch (error) {
      if (!isVolleyError(error) || error.code !== 'ERR_VOLLEY_CHUNK') throw error;
      throw manifestError(place, 'a part of its body cannot be read', error);
    } finally {
      destination.close();
    }
  }
}
