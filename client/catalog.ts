import { isVolleyError, VolleyError } from '../src/errors.js';
import { isManifestKey, isNodeListKey } from '../src/keys.js';
import { decodeRoot, type ImageKind, type Manifest, type ManifestRoot } from '../src/manifest.js';
import type { ClusterNode } from './cluster-node.js';
import { Completeness } from './completeness.js';
import { mapLimited } from './deadline.js';
import type { ManifestStore } from './manifest-store.js';
import { listItems } from './metadump.js';
import type { FoundNodeList } from './node-lists.js';
import type { Placement, Placements } from './placement.js';

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
  /** Where its chunks lie. */
  placement: Placement;
  /** Chunks that are not where they belong; null when it is damaged. */
  missingChunks: number | null;
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
  /** The node list that it was stored with; null when the manifest does not tell (Volley 0.1 did not record it). */
  nodes: string[] | null;
  /** How this client's node list differs from that one: `a:1,b:1; this node list lacks b:1`. Null when it does not. */
  nodeListDifference: string | null;
}

/** What there is on the nodes besides chunks. */
interface Places {
  /** Manifest keys and where they stand: with their owner, or else with some other node. */
  manifests: Map<string, ClusterNode>;
  nodeLists: FoundNodeList[];
}

/** What images there are: the union over the nodes' own listings. */
export class Catalog {
  readonly #nodes: readonly ClusterNode[];
  readonly #manifests: ManifestStore;
  readonly #placements: Placements;
  readonly #timeoutMs: number;

  constructor(
    nodes: readonly ClusterNode[],
    manifests: ManifestStore,
    placements: Placements,
    timeoutMs: number,
  ) {
    this.#nodes = nodes;
    this.#manifests = manifests;
    this.#placements = placements;
    this.#timeoutMs = timeoutMs;
  }

  /** All images, by name; damaged ones among them. @throws VolleyError of a node that fails */
  async images(signal?: AbortSignal): Promise<ImageInfo[]> {
    const infos: ImageInfo[] = [];
    await this.visit((found) => infos.push(infoOf(found)), signal);
    return infos.sort((a, b) => ((a.name ?? a.key) < (b.name ?? b.key) ? -1 : 1));
  }

  /**
   * Hands over every manifest, fetched and checked; only a few are in memory at a time.
   * @returns the records of node lists that nodes hold
   */
  async visit(onFound: (found: FoundManifest) => void, signal?: AbortSignal): Promise<FoundNodeList[]> {
    const chunks = new Completeness(this.#nodes);
    const places = await this.#places(chunks, signal);
    await mapLimited([...places.manifests], PARALLEL, async ([key, node]) => {
      const found = await this.#fetch(key, node, signal);
      if (!found) return;
      const missing = found.manifest && (await chunks.missingOf(found.manifest, found.placement, signal));
      onFound({ ...found, missingChunks: missing });
    });
    return places.nodeLists;
  }

  async #places(chunks: Completeness, signal?: AbortSignal): Promise<Places> {
    const places: Places = { manifests: new Map(), nodeLists: [] };
    const { manifests, nodeLists } = places;
    const listNode = async (node: ClusterNode) => {
      let count = 0;
      const onItem = ({ key }: { key: string }) => {
        chunks.note(node, key);
        if (isNodeListKey(key)) nodeLists.push({ key, node });
        else if (!isManifestKey(key)) return;
        if (++count > MANIFESTS_PER_NODE_MAX) throw tooMany(node.name);
        if (isManifestKey(key) && (!manifests.has(key) || this.#manifests.owner(key) === node))
          manifests.set(key, node);
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
    const unread = { root: null, manifest: null, placement: this.#placements.own, missingChunks: null };
    const found: FoundManifest = { key, node: node.name, ...unread, damaged: null };
    try {
      const root = decodeRoot(bytes, place);
      found.root = root;
      found.placement = this.#placements.of(root.nodes);
      found.damaged = this.#manifests.misplaced(root, node);
      if (found.damaged === null) found.manifest = await this.#manifests.complete(root, place, signal);
      return found;
    } catch (error) {
      if (!isVolleyError(error) || error.code !== 'ERR_VOLLEY_MANIFEST') throw error;
      return { ...found, damaged: error.message };
    }
  }
}

function tooMany(node: string): VolleyError {
  const text = `node ${node} lists more than ${MANIFESTS_PER_NODE_MAX} images; is it a sane node?`;
  return new VolleyError('ERR_VOLLEY_PROTOCOL', text);
}

function infoOf({ key, node, root, damaged, placement, missingChunks }: FoundManifest): ImageInfo {
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
    nodes: root?.nodes?.map(({ name }) => name) ?? null,
    nodeListDifference: placement.difference,
  };
}
