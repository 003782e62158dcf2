import { type Credentials, checkCredentials } from '../src/credentials.js';
import { VolleyError } from '../src/errors.js';
import { parseFabric } from '../src/fabric-choice.js';
import { quote } from '../src/keys.js';
import { chunkLength, type Manifest, RECORD_BYTES } from '../src/manifest.js';
import { native } from '../src/native.js';
import { parseNodeList } from '../src/node-name.js';
import { Ring } from '../src/ring.js';
import type { TlsOptions } from '../src/tls-settings.js';
import { Catalog, type ImageInfo } from './catalog.js';
import type { WantedTransport } from './choose-transport.js';
import type { ClusterNode } from './cluster-node.js';
import { connectNode } from './connect-node.js';
import { type LoadOptions, LoadRun } from './load/load-run.js';
import type { LoadReport } from './load/report.js';
import { countShared } from './load/sources.js';
import { ManifestStore } from './manifest-store.js';
import { NodeLists } from './node-lists.js';
import { type OrphansReport, removeOrphans } from './orphans.js';
import { Placements, sameNodeTwice } from './placement.js';
import { ReadsReporter } from './reads-reporter.js';
import { type RemoveReport, removeImage } from './remove.js';
import { makeClientTls } from './secure.js';
import { HashPool } from './upload/hash-pool.js';
import type { UploadReport } from './upload/report.js';
import type { UploadSource } from './upload/source.js';
import { type UploadOptions, upload } from './upload/upload.js';
import { UsageReporter } from './usage-reporter.js';

const TIMEOUT_MS_DEFAULT = 5000;

export interface ConnectOptions {
  /** `host`, `host:port` or `[IPv6]:port`; the same list, in any order, for every client of the cluster. */
  nodes: readonly string[];
  /** Default `auto`. */
  transport?: WantedTransport;
  /** The fabric to read over: `auto` (what the node offers), `off`, or PROVIDER or PROVIDER/DEVICE. Default `auto`. */
  fabric?: string;
  /** Milliseconds that a node may let pass without an answer. Default 5000. */
  timeoutMs?: number;
  /** Who to be to nodes that ask; it is told to every node of the list, in the clear. Default nobody. */
  credentials?: Credentials | null;
  /** How to speak TLS to all nodes, or null to speak plainly. Default null. */
  tls?: TlsOptions | null;
  signal?: AbortSignal;
}

/** Milliseconds that connecting took, of the slowest node each. */
export interface ConnectStages {
  /** Reaching the nodes and asking who they are. */
  connectMs: number;
  /** Mapping the regions of nodes on this host. */
  tablesMs: number;
}

/** A connection to all storage nodes of a cluster. */
export class Cluster {
  readonly #ring: Ring;
  readonly #placements: Placements;
  readonly #nodeLists: NodeLists;
  readonly #manifests: ManifestStore;
  readonly #catalog: Catalog;
  readonly #hashes = new HashPool();
  readonly #usage: UsageReporter;
  readonly #reads: ReadsReporter;

  private constructor(
    /** In the order of their names. */
    readonly nodes: readonly ClusterNode[],
    readonly stages: ConnectStages,
    readonly timeoutMs: number,
  ) {
    this.#ring = new Ring(nodes.map(({ name }) => name));
    this.#placements = new Placements(nodes, this.#ring);
    this.#nodeLists = new NodeLists(nodes, this.#placements, timeoutMs);
    this.#manifests = new ManifestStore(nodes, this.#placements, this.#nodeLists, this.#readTimeoutMs);
    this.#catalog = new Catalog(nodes, this.#manifests, this.#placements, timeoutMs);
    this.#usage = new UsageReporter(nodes, this.#placements, timeoutMs);
    this.#reads = new ReadsReporter(nodes, timeoutMs);
  }

  /**
   * Reaches every node, in parallel, and chooses how to read from it.
   * @throws VolleyError ERR_VOLLEY_NODE_DOWN, _TIMEOUT, _AUTH, _PROTOCOL or _TRANSPORT that names the node;
   * ERR_VOLLEY_NODE_LIST when two entries of the list are one node; ERR_VOLLEY_USAGE
   */
  static async connect(options: ConnectOptions): Promise<Cluster> {
    const { transport = 'auto', fabric = 'auto', timeoutMs = TIMEOUT_MS_DEFAULT } = options;
    const { credentials = null, signal } = options;
    const tls = options.tls ? makeClientTls(options.tls) : null;
    parseFabric(fabric);
    if (credentials) checkCredentials(credentials);
    const names = parseNodeList(options.nodes);
    const wishes = { transport, fabric, credentials, tls, timeoutMs, ...(signal && { signal }) };
    const attempts = names.map((name) => connectNode(name, wishes));
    const settled = await Promise.allSettled(attempts);
    const failed = settled.find(({ status }) => status === 'rejected');
    const connected = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const nodes = connected.map(({ node }) => node);
    if (failed) {
      for (const node of nodes) closeNode(node);
      throw (failed as PromiseRejectedResult).reason;
    }
    const twice = sameNodeTwice(nodes);
    if (twice) {
      for (const node of nodes) closeNode(node);
      throw namedTwice(twice);
    }
    const stages = {
      connectMs: Math.max(...connected.map(({ connectMs }) => connectMs)),
      tablesMs: Math.max(...connected.map(({ tablesMs }) => tablesMs)),
    };
    return new Cluster(nodes, stages, timeoutMs);
  }

  /**
   * Stores an image under a name. Chunks that the nodes hold already are not sent; the manifest is written last, so
   * an upload that fails leaves an older image of that name whole, and one that is run again sends only what is missing.
   * @throws VolleyError ERR_VOLLEY_NAME, _USAGE, _FILE, _NODE_FULL, _TOO_LARGE, _NODE_DOWN, _TIMEOUT, _CHUNK, _ABORTED
   */
  upload(source: UploadSource, options: UploadOptions): Promise<UploadReport> {
    return upload({ ...this.#target, hashes: this.#hashes }, source, options);
  }

  /**
   * Fetches and checks an image's manifest.
   * @throws VolleyError ERR_VOLLEY_NOT_FOUND, ERR_VOLLEY_MANIFEST, ERR_VOLLEY_NAME, or that of a node that fails
   */
  open(name: string, signal?: AbortSignal): Promise<Manifest> {
    return this.#manifests.open(name, signal);
  }

  /**
   * Reads an image into memory, every chunk verified.
   * @throws VolleyError that names image, chunk and node; what the destination then holds is undefined
   */
  async load(image: Manifest, options: LoadOptions): Promise<LoadReport> {
    const { name, imageBytes, chunkBytes, chunkCount, records } = image;
    const placement = this.#placements.of(image.nodes);
    const target = {
      ...{ label: quote(name), bytes: imageBytes, chunkBytes, records },
      ...{ firstChunk: 0, chunkCount, lossHelp: placement.lossHelp },
    };
    const startMs = performance.now();
    const readTimeoutMs = options.readTimeoutMs ?? this.#readTimeoutMs;
    const run = new LoadRun(this.nodes, placement, target, { ...options, readTimeoutMs }).run();
    const { nodes, zeroChunks, readNs, verifyNs } = await run;
    const ms = performance.now() - startMs;
    this.#usage.report(image);
    this.#reads.note(nodes, chunkBytes);
    const busyNs = readNs + verifyNs || 1;
    return {
      name,
      nodeListDifference: placement.difference,
      bytes: imageBytes,
      chunks: chunkCount,
      zeroChunks,
      sharedChunks: countShared(records),
      seconds: ms / 1000,
      gbPerSecond: imageBytes / ms / 1e6,
      retries: nodes.reduce((sum, { retries }) => sum + retries, 0),
      checksumFailures: nodes.reduce((sum, { checksumFailures }) => sum + checksumFailures, 0),
      stages: { readMs: (ms * readNs) / busyNs, verifyMs: (ms * verifyNs) / busyNs },
      nodes,
    };
  }

  /**
   * A range of an image, verified: for small parts such as a kernel's header.
   * @throws VolleyError ERR_VOLLEY_USAGE when the range is not inside the image, or as load() does
   */
  async read(image: Manifest, offset: number, length: number): Promise<Buffer> {
    const { name, imageBytes, chunkBytes, chunkCount, records } = image;
    if (!(offset >= 0 && length >= 0 && offset + length <= imageBytes)) {
      const text = `image ${quote(name)} has ${imageBytes} bytes; ${length} bytes at ${offset} are not inside`;
      throw new VolleyError('ERR_VOLLEY_USAGE', text);
    }
    if (length === 0) return Buffer.alloc(0);
    const firstChunk = Math.floor(offset / chunkBytes);
    const lastChunk = Math.floor((offset + length - 1) / chunkBytes);
    const bytes = (lastChunk - firstChunk) * chunkBytes + chunkLength(lastChunk, imageBytes, chunkBytes);
    const part = records.slice(firstChunk * RECORD_BYTES, (lastChunk + 1) * RECORD_BYTES);
    const placement = this.#placements.of(image.nodes);
    const { lossHelp } = placement;
    const target = { label: quote(name), bytes, chunkBytes, records: part, firstChunk, chunkCount, lossHelp };
    const destination = native().GuestMemory.create(bytes);
    try {
      const options = { destination, destinationIsZero: true, readTimeoutMs: this.#readTimeoutMs };
      await new LoadRun(this.nodes, placement, target, options).run();
      return destination.read(offset - firstChunk * chunkBytes, length);
    } finally {
      destination.close();
    }
  }

  /** All images in the cluster, by name. @throws VolleyError of a node that fails */
  images(signal?: AbortSignal): Promise<ImageInfo[]> {
    return this.#catalog.images(signal);
  }

  /**
   * Removes an image and the chunks that only it uses.
   * @throws VolleyError ERR_VOLLEY_NOT_FOUND, _NAME, _CONFLICT when another image took its place meanwhile, or that of a node that fails
   */
  async remove(name: string, signal?: AbortSignal, options: RemoveOptions = {}): Promise<RemoveReport> {
    return removeImage(this.#removal(options), name, signal);
  }

  /**
   * Removes chunks that no image uses.
   * @param minAgeS chunks that were touched in that many seconds stay, for an upload may be about to need them
   * @throws VolleyError ERR_VOLLEY_MANIFEST or ERR_VOLLEY_NODE_LIST when an image forbids it, or that of a node that fails
   */
  async removeOrphans(
    minAgeS: number,
    signal?: AbortSignal,
    options: RemoveOptions = {},
  ): Promise<OrphansReport> {
    return removeOrphans(this.#removal(options), minAgeS, signal);
  }

  /** Ends all connections, mappings and threads. An upload that is under way fails. */
  async close(): Promise<void> {
    await Promise.all([this.#usage.settle(), this.#reads.settle()]);
    for (const node of this.nodes) closeNode(node);
    this.#hashes.close();
  }

  get #readTimeoutMs(): number {
    return Math.ceil(this.timeoutMs);
  }

  get #target() {
    return {
      ...{ nodes: this.nodes, ring: this.#ring, placements: this.#placements, nodeLists: this.#nodeLists },
      ...{ manifests: this.#manifests, timeoutMs: this.timeoutMs },
    };
  }

  #removal({ goneNodes = [] }: RemoveOptions) {
    const names = goneNodes.length === 0 ? [] : parseNodeList(goneNodes).map(({ name }) => name);
    const present = names.find((name) => this.nodes.some((node) => node.name === name));
    if (present !== undefined) {
      const text = `node ${present} is in the node list: it cannot be gone; leave it out of either`;
      throw new VolleyError('ERR_VOLLEY_USAGE', text);
    }
    return { ...this.#target, catalog: this.#catalog, goneNodes: names };
  }
}

/** How to remove. */
export interface RemoveOptions {
  /** Nodes that are gone for good, with what they held: images may have been stored with a list that had them. */
  goneNodes?: readonly string[];
}

function namedTwice([one, other]: [string, string]): VolleyError {
  const text = `the node list names one node twice: ${one} and ${other} are the same; leave one of them out`;
  return new VolleyError('ERR_VOLLEY_NODE_LIST', text);
}

function closeNode(node: ClusterNode): void {
  node.control.close();
  node.region?.close();
}
