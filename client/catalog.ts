import { isVolleyError, VolleyError } from '../src/errors.js';
import { isManifestKey } from '../src/keys.js';
import { decodeRoot, type ImageKind, type Manifest, type ManifestRoot } from '../src/manifest.js';
import type { ClusterNode } from './cluster-node.js';
import { Completeness } from './completeness.js';
import { mapLimited } from './deadline.js';
import type { ManifestStore } from './manifest-store.js';
import { listItems } from './metadump.js';

/** More manifests than this on one node are taken for a fault of the node. */
const MANIFESTS_PER_NODE_MAX = 1_000_000;
/** Manifests that are fetched at a time. */
const PARALLEL = 8;

/** A manifest that stands in the cluster. */
export interface FoundManifest {
  key: string;
  /** The node where it stands. */
  node: string;
  /** Null when the root cannot be read. */
  root: ManifestRoot | null;
  /** Null when it is damaged. */
  manifest: Manifest | null;
  /** What is wrong with it, or null. */
  damaged: string | null;
}

/** An image as a listing tells it. All but `key` and `node` are null when they cannot be read. */
export interface ImageInfo {
  name: string | null;
  /** The manifest's key; `volley rm` takes it where the name is not known. */
  key: string;
  node: string;
  bytes: number | null;
  chunkBytes: number | null;
  chunks: number | null;
  kind: ImageKind | null;
  id: string | null;
  createdMs: number | null;
  /** Chunks that the nodes have lost; 0 when the image is whole. */
  missingChunks: number | null;
  damaged: string | null;
}

/** What images there are: the union over the nodes' own listings. */
export class Catalog {
  readonly #nodes: readonly ClusterNode[];
  readonly #manifests: ManifestStore;
  readonly #timeoutMs: number;

  constructor(nodes: readonly ClusterNode[], manifests: ManifestStore, timeoutMs: number) {
    this.#nodes = nodes;
    this.#manifests = manifests;
    this.#timeoutMs = timeoutMs;
  }

  /** All images, by name; damaged ones among them. @throws VolleyError of a node that fails */
  async images(signal?: AbortSignal): Promise<ImageInfo[]> {
    const infos: ImageInfo[] = [];
    const chunks = new Completeness((key) => this.#manifests.owner(key));
    const places = await this.#places(signal, chunks);
    await mapLimited([...places], PARALLEL, async ([key, node]) => {
      const found = await this.#fetch(key, node, signal);
      if (!found) return;
      const missing = found.manifest && (await chunks.missingOf(found.manifest, signal));
      infos.push(infoOf(found, missing));
    });
    return infos.sort((a, b) => ((a.name ?? a.key) < (b.name ?? b.key) ? -1 : 1));
  }

  /** Hands over every manifest, fetched and checked; only a few are in memory at a time. */
  async visit(onFound: (found: FoundManifest) => void, signal?: AbortSignal): Promise<void> {
    const places = await this.#places(signal);
    await mapLimited([...places], PARALLEL, async ([key, node]) => {
      const found = await this.#fetch(key, node, signal);
      if (found) onFound(found);
    });
  }

  /** Manifest keys and where they stand: with their owner, or else with some other node. */
  async #places(signal?: AbortSignal, chunks?: Completeness): Promise<Map<string, ClusterNode>> {
    const places = new Map<string, ClusterNode>();
    const listNode = async (node: ClusterNode) => {
      let count = 0;
      const onItem = ({ key }: { key: string }) => {
        chunks?.note(node, key);
        if (!isManifestKey(key)) return;
        if (++count > MANIFESTS_PER_NODE_MAX) throw tooMany(node.name);
        if (!places.has(key) || this.#manifests.owner(key) === node) places.set(key, node);
      };
      await listItems(node, this.#timeoutMs, onItem, signal);
    };
    await mapLimited(this.#nodes, PARALLEL, listNode);
    return places;
  }

  /** Null when the manifest has been removed in the meantime. */
  async #fetch(key: string, node: ClusterNode, signal?: AbortSignal): Promise<FoundManifest | null> {
    const bytes = await node.control.get(key, signal);
    if (!bytes) return null;
    const place = { key, node: node.name, image: key };
    const found = { key, node: node.name, root: null as ManifestRoot | null, manifest: null };
    try {
      found.root = decodeRoot(bytes, place);
      const owner = this.#manifests.owner(key);
      if (owner !== node) return { ...found, damaged: misplaced(node, owner) };
      const manifest = await this.#manifests.complete(found.root, place, signal);
      return { ...found, manifest, damaged: null };
    } catch (error) {
      if (!isVolleyError(error) || error.code !== 'ERR_VOLLEY_MANIFEST') throw error;
      return { ...found, damaged: error.message };
    }
  }
}

function misplaced(node: ClusterNode, owner: ClusterNode): string {
  const place = `its manifest stands on node ${node.name}, but by this node list it belongs to ${owner.name}`;
  return `${place}; use the node list of its upload, or upload it again`;
}

function tooMany(node: string): VolleyError {
  const text = `node ${node} lists more than ${MANIFESTS_PER_NODE_MAX} images; is it a sane node?`;
  return new VolleyError('ERR_VOLLEY_PROTOCOL', text);
}

function infoOf({ key, node, root, damaged }: FoundManifest, missingChunks: number | null): ImageInfo {
  return {
    name: root?.name ?? null,
    key,
    node,
    bytes: root?.imageBytes ?? null,
    chunkBytes: root?.chunkBytes ?? null,
    chunks: root?.chunkCount ?? null,
    kind: root?.kind ?? null,
    id: root?.id ?? null,
    createdMs: root?.createdMs ?? null,
    missingChunks,
    damaged,
  };
}
