import { DigestSet } from '../../src/digest-set.js';
import type { VolleyError } from '../../src/errors.js';
import { partitionOfDigest } from '../../src/keys.js';
import {
  BODY_INLINE_MAX,
  BODY_PIECE_BYTES,
  checkImageSize,
  chunkCountOf,
  chunkLength,
  encodeRoot,
  type ImageKind,
  imageId,
  isZeroRecord,
  RECORD_BYTES,
} from '../../src/manifest.js';
import { FIELD_NODES } from '../../src/manifest-fields.js';
import { onAbort } from '../../src/on-abort.js';
import { encodeNodes } from '../../src/recorded-nodes.js';
import type { Ring } from '../../src/ring.js';
import type { ClusterNode } from '../cluster-node.js';
import { abortedError, allOf, settler, throwIfAborted } from '../deadline.js';
import type { FoundRoot, ManifestStore } from '../manifest-store.js';
import type { NodeLists } from '../node-lists.js';
import type { Placements } from '../placement.js';
import { TextConnection } from '../text-connection.js';
import { BufferSource } from './buffer-source.js';
import type { HashPool } from './hash-pool.js';
import { isLostChunks, Keeper } from './keeper.js';
import { type LaneCounts, UploadLane } from './lane.js';
import { PIECE_BYTES, type Piece } from './piece.js';
import { PiecePool } from './piece-pool.js';
import { RecordList } from './record-list.js';
import type { UploadProgress, UploadReport } from './report.js';
import { fileError, type PieceSource } from './source.js';

/** Pieces in memory: what an upload may have on its way. */
const PIECES = 16;

export interface UploadPlan {
  name: string;
  chunkBytes: number;
  kind: ImageKind;
  resend: boolean;
  /** Nothing is to be sent, only counted: for count(). */
  countsOnly: boolean;
  source: PieceSource;
  nodes: readonly ClusterNode[];
  ring: Ring;
  placements: Placements;
  nodeLists: NodeLists;
  manifests: ManifestStore;
  hashes: HashPool;
  timeoutMs: number;
  signal: AbortSignal | undefined;
  onProgress: ((progress: UploadProgress) => void) | undefined;
  onNotice: ((text: string) => void) | undefined;
}

/** What an upload sends to a node. */
export type NodeCounts = LaneCounts & { name: string };

/**
 * One upload. Pieces of the source go through hashing threads to the lanes of the nodes that own their chunks; the
 * manifest is written when every chunk has been acknowledged. Its items are the image's chunks and, behind them, the
 * pieces of a manifest body that is too large for the root.
 */
export class UploadRun {
  readonly #plan: UploadPlan;
  readonly #records = new RecordList();
  readonly #distinct = new DigestSet();
  /** Those of the source that is being stored. */
  #pieces: PiecePool | null = null;
  /** One per node, in the order of the plan's nodes. */
  readonly #lanes: UploadLane[] = [];
  #failure: Error | null = null;
  #zeroChunks = 0;
  #duplicateChunks = 0;
  #hashedBytes = 0;
  /** Pieces that the hash pool has, and who waits for it to have none. */
  #hashing = 0;
  #onIdle: (() => void) | null = null;

  constructor(plan: UploadPlan) {
    this.#plan = plan;
  }

  /** @throws VolleyError that names the node or file at fault; an image of that name from before is whole then */
  run(): Promise<UploadReport> {
    return this.#guarded(() => this.#upload());
  }

  /** Per node what an upload would send to it. @throws VolleyError that names the node or file at fault */
  count(): Promise<NodeCounts[]> {
    return this.#guarded(async () => {
      const { source, chunkBytes } = this.#plan;
      await this.#connect();
      await this.#store(source, chunkBytes, 0);
      return this.#countsSoFar().nodes;
    });
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    const { signal } = this.#plan;
    const ignore = onAbort(signal, () => this.#fail(abortedError(signal!)));
    try {
      throwIfAborted(signal);
      return await work();
    } catch (error) {
      throw this.#failure ?? error;
    } finally {
      ignore();
      for (const lane of this.#lanes) lane?.close();
      await this.#hashingEnded();
    }
  }

  async #upload(): Promise<UploadReport> {
    const { source, name, chunkBytes, kind } = this.#plan;
    const startMs = performance.now();
    await this.#connect();
    // Asked for while the chunks are on their way; what goes wrong with it counts when it is needed.
    const strays = this.#plan.manifests.strays(name, this.#plan.signal);
    strays.catch(() => {});
    const connectedMs = performance.now();
    const imageBytes = await this.#store(source, chunkBytes, 0);
    await source.confirmUnchanged();
    const storedMs = performance.now();
    const report = this.#countsSoFar();

    const chunkCount = chunkCountOf(imageBytes, chunkBytes);
    const body = this.#records.first(chunkCount);
    const id = imageId(body);
    const head = { name, imageBytes, chunkBytes, chunkCount, kind, id, createdMs: Date.now() };
    const fields = [{ tag: FIELD_NODES, value: encodeNodes(this.#plan.placements.record()) }];
    const root = encodeRoot(head, body, await this.#storeBody(body, chunkCount), fields);
    const replaced = await this.#commit(root, imageBytes, body);
    const replacedStrays = await this.#removeStrays(await strays);
    const endMs = performance.now();

    const seconds = (endMs - startMs) / 1000;
    return {
      name,
      id,
      bytes: imageBytes,
      chunkBytes,
      chunks: chunkCount,
      ...report,
      replaced: replaced || replacedStrays,
      seconds,
      gbPerSecond: imageBytes / seconds / 1e9,
      stages: {
        connectMs: connectedMs - startMs,
        storeMs: storedMs - connectedMs,
        manifestMs: endMs - storedMs,
      },
    };
  }

  async #connect(): Promise<void> {
    const { nodes, resend, countsOnly, timeoutMs, signal } = this.#plan;
    const { nodeLists } = this.#plan;
    const attempts = nodes.map(async (node, index) => {
      const connection = await TextConnection.connect(node, timeoutMs, signal);
      const tellsRemovals = node.volley?.all.removals !== undefined;
      this.#lanes[index] = new UploadLane(connection, { resend, countsOnly, tellsRemovals }, (error) =>
        this.#fail(error),
      );
    });
    await allOf([...attempts, nodeLists.record()]);
  }

  /** Removes what was stored under the name with other node lists: it would be found where this image is not. */
  async #removeStrays(strays: readonly FoundRoot[]): Promise<boolean> {
    await allOf(strays.map(({ node, key, item }) => node.control.deleteSame(key, item)));
    return strays.length > 0;
  }

  /**
   * Makes the nodes hold all chunks of a source.
   * @param firstItem item number of the source's first chunk
   * @returns the source's bytes
   */
  async #store(source: PieceSource, chunkBytes: number, firstItem: number): Promise<number> {
    if (this.#failure) throw this.#failure;
    const pieces = new PiecePool(PIECES, pieceBytes(source.bytes, chunkBytes), chunkBytes);
    this.#pieces = pieces;
    let bytes = 0;
    for (;;) {
      const piece = await pieces.take();
      piece.firstChunk = firstItem + bytes / chunkBytes;
      if (!(await source.next(piece))) {
        pieces.give(piece);
        break;
      }
      bytes += piece.length;
      checkImageSize(bytes, chunkBytes);
      this.#hash(piece);
    }
    await pieces.drained();
    return bytes;
  }

  /** Stores a body that is too large for the root; returns its pieces' records, or null when it is not. */
  async #storeBody(body: Buffer, firstItem: number): Promise<Buffer | null> {
    if (body.length <= BODY_INLINE_MAX) return null;
    await this.#store(new BufferSource(body), BODY_PIECE_BYTES, firstItem);
    const count = chunkCountOf(body.length, BODY_PIECE_BYTES);
    return this.#records.first(firstItem + count).subarray(firstItem * RECORD_BYTES);
  }

  /** Writes the manifest's root, making sure that the nodes hold all that it refers to. Returns whether it replaced one. */
  async #commit(root: Buffer, imageBytes: number, body: Buffer): Promise<boolean> {
    const { name, chunkBytes, source, nodes, ring, manifests, signal } = this.#plan;
    const chunkCount = chunkCountOf(imageBytes, chunkBytes);
    const bytesOf = async (item: number) => {
      const piece = item - chunkCount;
      if (piece >= 0) return body.subarray(piece * BODY_PIECE_BYTES, (piece + 1) * BODY_PIECE_BYTES);
      return source.reread(item * chunkBytes, chunkLength(item, imageBytes, chunkBytes));
    };
    const keeper = new Keeper({ name, nodes, ring, lanes: this.#lanes, records: this.#records, bytesOf });
    await keeper.keepBefore();
    const replaced = await manifests.put(name, root, signal);
    try {
      await keeper.keepAfter();
    } catch (error) {
      if (isLostChunks(error)) await manifests.removeIfSame(name, root);
      throw error;
    }
    return replaced;
  }

  #hash(piece: Piece): void {
    piece.hold();
    this.#hashing++;
    this.#plan.hashes.submit(piece, (fault) => {
      this.#hashing--;
      try {
        this.#onHashed(piece, fault);
      } catch (error) {
        // Of the caller's onProgress, or a fault of our own: the upload ends with it.
        this.#fail(error as Error);
      }
      if (this.#hashing === 0) this.#onIdle?.();
    });
  }

  /** Waits until no thread reads the source or touches a piece of this upload any more. */
  async #hashingEnded(): Promise<void> {
    if (this.#hashing === 0) return;
    const { promise, resolve } = settler<void>();
    this.#onIdle = () => resolve();
    await promise;
  }

  /** Sends the chunks of a hashed piece to the lanes of their nodes, each content once, zeros never. */
  #onHashed(piece: Piece, fault: string | null): void {
    if (this.#failure) return;
    if (fault) {
      this.#fail(fileError(this.#plan.source.label, fault));
      return;
    }
    const { records, chunkCount } = piece;
    this.#records.put(piece.firstChunk, records);
    const chunksOfNode: number[][] = [];
    for (let chunk = 0; chunk < chunkCount; chunk++) {
      const offset = chunk * RECORD_BYTES;
      if (isZeroRecord(records, offset)) {
        this.#zeroChunks++;
      } else if (this.#isNew(records, offset)) {
        const node = this.#plan.ring.node(partitionOfDigest(records, offset));
        chunksOfNode[node] ??= [];
        chunksOfNode[node].push(chunk);
      } else {
        this.#duplicateChunks++;
      }
    }
    chunksOfNode.forEach((chunks, node) => {
      this.#lanes[node]!.offer(piece, chunks);
    });
    this.#hashedBytes += piece.length;
    piece.release();
    this.#plan.onProgress?.({ bytes: this.#hashedBytes, totalBytes: this.#plan.source.bytes });
  }

  #isNew(records: Buffer, offset: number): boolean {
    const before = this.#distinct.size;
    return this.#distinct.add(records, offset) === before;
  }

  #countsSoFar() {
    const nodes = this.#lanes.map(({ counts }, index) => ({
      name: this.#plan.nodes[index]!.name,
      ...counts,
    }));
    const sum = (field: 'sentChunks' | 'sentBytes' | 'presentChunks') =>
      nodes.reduce((total, node) => total + node[field], 0);
    return {
      zeroChunks: this.#zeroChunks,
      duplicateChunks: this.#duplicateChunks,
      presentChunks: sum('presentChunks'),
      sentChunks: sum('sentChunks'),
      sentBytes: sum('sentBytes'),
      nodes,
    };
  }

  /** Ends the upload: every wait in it ends with an error, and `error` is the one that the caller sees. */
  #fail(error: VolleyError | Error): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#pieces?.fail(error);
    this.#plan.source.abort(error);
    for (const lane of this.#lanes) lane?.close();
  }
}

/** Bytes of a piece: no more than the source has. */
function pieceBytes(sourceBytes: number | null, chunkBytes: number): number {
  if (sourceBytes === null || sourceBytes >= PIECE_BYTES) return PIECE_BYTES;
  return Math.max(1, chunkCountOf(sourceBytes, chunkBytes)) * chunkBytes;
}
