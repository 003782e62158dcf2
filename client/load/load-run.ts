import { greetingOf } from '../../src/credentials.js';
import { VolleyError } from '../../src/errors.js';
import { CHUNK_KEY_PREFIX } from '../../src/keys.js';
import {
  FAILURE_REASONS,
  type GuestMemory,
  type LocalRegion,
  type Reader,
  type ReaderPath,
  type ReaderPathStats,
  type ReaderResult,
  type RemoteRegion,
  SOURCE_SKIP,
} from '../../src/native.js';
import { onAbort } from '../../src/on-abort.js';
import type { PartitionMap } from '../../src/ring.js';
import type { ClusterNode } from '../cluster-node.js';
import { abortedError, throwIfAborted } from '../deadline.js';
import { describeLoss, type LostChunk, loadError } from './failure.js';
import { makeReader } from './mixed-reader.js';
import type { LoadProgress, NodeLoadReport } from './report.js';
import { sourcesOf } from './sources.js';
import { copyTables } from './table-copies.js';

const PROGRESS_INTERVAL_MS = 100;

export interface LoadOptions {
  destination: GuestMemory;
  /** Where in the destination the image's first byte lands. Default 0. */
  destinationOffset?: number;
  /** Whether the destination is known to hold zeros, so that zero chunks need no writing. Default false. */
  destinationIsZero?: boolean;
  /** Milliseconds for which a node may bring neither a chunk nor 4 KiB. Default: what the cluster was connected with. */
  readTimeoutMs?: number;
  signal?: AbortSignal;
  onProgress?: (progress: LoadProgress) => void;
}

/** What is loaded: an image, a part of one, or a manifest's body. */
export interface LoadTarget {
  /** What to call it in messages, quoted. */
  label: string;
  bytes: number;
  chunkBytes: number;
  /** RECORD_BYTES per chunk. */
  records: Uint8Array;
  /** Number in the image of the target's first chunk, and how many the image has, for messages. */
  firstChunk: number;
  chunkCount: number;
  /** What to do when a chunk is not there. */
  lossHelp: string;
}

/** What a run brought. */
export interface LoadOutcome {
  zeroChunks: number;
  readNs: number;
  verifyNs: number;
  nodes: NodeLoadReport[];
}

/** Somebody who is told of a load's progress, and what he threw. */
interface Watch {
  stop: () => void;
  fault: { error: unknown } | null;
}

/** One load: a native reader over the transports of all nodes, and another over tcp for what one-sided reads could not bring. */
export class LoadRun {
  readonly #nodes: readonly ClusterNode[];
  readonly #placement: PartitionMap;
  readonly #target: LoadTarget;
  readonly #options: LoadOptions;
  readonly #reports: NodeLoadReport[];
  #zeroChunks = 0;
  #readNs = 0;
  #verifyNs = 0;

  constructor(
    nodes: readonly ClusterNode[],
    placement: PartitionMap,
    target: LoadTarget,
    options: LoadOptions,
  ) {
    this.#nodes = nodes;
    this.#placement = placement;
    this.#target = target;
    this.#options = options;
    this.#reports = nodes.map(({ name, transport, transportReason, fabric }) => {
      return {
        name,
        transport,
        transportReason,
        fabric,
        chunks: 0,
        bytes: 0,
        retries: 0,
        checksumFailures: 0,
        indexBytes: 0,
        window: 0,
        fallbackChunks: 0,
        fallbackReason: '',
      };
    });
  }

  /**
   * When it settles, nothing touches the destination any more.
   * @throws VolleyError ERR_VOLLEY_CHUNK, _TIMEOUT, _NODE_DOWN or _PROTOCOL that names image, chunk and node;
   * ERR_VOLLEY_MEMORY when the destination is too small; ERR_VOLLEY_ABORTED
   */
  async run(): Promise<LoadOutcome> {
    throwIfAborted(this.#options.signal);
    this.#checkFit();
    if (this.#target.bytes > 0) await this.#readAll();
    const { signal, onProgress } = this.#options;
    throwIfAborted(signal);
    const chunks = this.#reports.reduce((sum, node) => sum + node.chunks, 0);
    const bytes = this.#reports.reduce((sum, node) => sum + node.bytes, 0);
    onProgress?.({ chunks, bytes, totalBytes: this.#target.bytes });
    return {
      zeroChunks: this.#zeroChunks,
      readNs: this.#readNs,
      verifyNs: this.#verifyNs,
      nodes: this.#reports,
    };
  }

  async #readAll(): Promise<void> {
    const { records } = this.#target;
    const sources = sourcesOf(records, this.#placement);
    const { chunkBytes } = this.#target;
    const copies = await copyTables(this.#nodes, sources, chunkBytes, this.#options.readTimeoutMs);
    copies.forEach((bytes, node) => {
      this.#reports[node]!.indexBytes += bytes;
    });
    const first = await this.#read(this.#nodes.map(pathOf), sources);
    this.#zeroChunks = first.zeroChunks;
    first.paths.forEach((stats, node) => {
      this.#reports[node]!.window = stats.window;
      this.#count(node, stats);
    });
    const lost = this.#lostChunks(first, sources);
    const again = lost.filter(({ node }) => this.#nodes[node]!.transport !== 'tcp');
    if (again.length < lost.length)
      throw this.#error(lost.filter(({ node }) => this.#nodes[node]!.transport === 'tcp'));
    for (const one of again) this.#reports[one.node]!.fallbackReason ||= describeLoss(one);
    if (again.length > 0)
      await this.#readOverTcp(
        again.map(({ chunk }) => chunk),
        sources,
      );
  }

  /** Reads once more over tcp, from the same nodes, what one-sided reads could not bring. */
  async #readOverTcp(chunks: readonly number[], sources: Uint16Array): Promise<void> {
    const only = new Uint16Array(sources.length).fill(SOURCE_SKIP);
    for (const chunk of chunks) only[chunk] = sources[chunk]!;
    const result = await this.#read(this.#nodes.map(tcpPathOf), only);
    result.paths.forEach((stats, node) => {
      this.#count(node, stats);
      this.#reports[node]!.fallbackChunks += stats.chunks;
    });
    const lost = this.#lostChunks(result, sources);
    if (lost.length > 0) throw this.#error(lost);
  }

  async #read(paths: ReaderPath[], sources: Uint16Array): Promise<ReaderResult> {
    const {
      destination,
      destinationOffset = 0,
      destinationIsZero = false,
      readTimeoutMs,
      signal,
    } = this.#options;
    const { bytes, chunkBytes, records } = this.#target;
    const plan = {
      destination,
      destinationOffset,
      destinationIsZero,
      imageBytes: bytes,
      chunkBytes,
      records,
      sources,
      paths,
      keyPrefix: CHUNK_KEY_PREFIX,
      ...(readTimeoutMs === undefined ? {} : { readTimeoutMs }),
    };
    const reader = makeReader(plan, this.#nodes);
    const ignore = onAbort(signal, () => reader.cancel());
    const watch = this.#watch(reader);
    try {
      const running = reader.run();
      if (signal?.aborted) reader.cancel();
      const result = await running;
      if (watch.fault) throw watch.fault.error;
      return result;
    } finally {
      watch.stop();
      ignore();
    }
  }

  /** Tells the progress from time to time, when somebody wants to know it. What the caller throws then ends the load. */
  #watch(reader: Reader): Watch {
    const watch: Watch = { stop: () => {}, fault: null };
    const { onProgress } = this.#options;
    if (!onProgress) return watch;
    const before = this.#reports.reduce(
      (sum, { chunks, bytes }) => [sum[0]! + chunks, sum[1]! + bytes],
      [0, 0],
    );
    const timer = setInterval(() => {
      const chunks = before[0]! + Number(reader.progress[0]);
      const bytes = before[1]! + Number(reader.progress[1]);
      try {
        onProgress({ chunks, bytes, totalBytes: this.#target.bytes });
      } catch (error) {
        watch.fault = { error };
        clearInterval(timer);
        reader.cancel();
      }
    }, PROGRESS_INTERVAL_MS);
    watch.stop = () => clearInterval(timer);
    return watch;
  }

  #count(node: number, stats: ReaderPathStats): void {
    const report = this.#reports[node]!;
    report.chunks += stats.chunks;
    report.bytes += stats.bytes;
    report.retries += stats.retries;
    report.checksumFailures += stats.checksumFailures;
    report.indexBytes += stats.indexBytes;
    this.#readNs += stats.readNs;
    this.#verifyNs += stats.verifyNs;
  }

  /** The reader's failures, in the order of the chunks. @throws VolleyError ERR_VOLLEY_ABORTED when the signal fired */
  #lostChunks(result: ReaderResult, sources: Uint16Array): (Omit<LostChunk, 'node'> & { node: number })[] {
    const { failures, paths } = result;
    const { signal } = this.#options;
    if (failures.length > 0 && signal?.aborted) throw abortedError(signal);
    const lost = [];
    for (let i = 0; i < failures.length; i += 2) {
      const chunk = failures[i]!;
      const node = sources[chunk]!;
      lost.push({ chunk, node, reason: FAILURE_REASONS[failures[i + 1]!]!, detail: paths[node]!.error });
    }
    return lost.sort((a, b) => a.chunk - b.chunk);
  }

  #error(lost: readonly (Omit<LostChunk, 'node'> & { node: number })[]): VolleyError {
    const { label, firstChunk, chunkCount, lossHelp } = this.#target;
    const named = lost.map((one) => ({
      ...one,
      chunk: one.chunk + firstChunk,
      node: this.#nodes[one.node]!.name,
    }));
    return loadError(label, chunkCount, named, lossHelp);
  }

  #checkFit(): void {
    const { destination, destinationOffset = 0 } = this.#options;
    const { bytes, label } = this.#target;
    if (bytes === 0 || destinationOffset + bytes <= destination.bytes) return;
    const where = `${destination.bytes} bytes of memory at offset ${destinationOffset}`;
    throw new VolleyError(
      'ERR_VOLLEY_MEMORY',
      `image ${label}: its ${bytes} bytes do not fit ${where}; give more memory`,
    );
  }
}

function pathOf(node: ClusterNode): ReaderPath {
  if (node.transport === 'local') return { kind: 'local', region: node.region as LocalRegion };
  if (node.transport === 'fabric') return { kind: 'fabric', region: node.region as RemoteRegion };
  return tcpPathOf(node);
}

function tcpPathOf({ address, port, credentials }: ClusterNode): ReaderPath {
  const greeting = credentials && { greeting: greetingOf(credentials) };
  return { kind: 'tcp', host: address, port, ...greeting };
}
