import { createHash } from 'node:crypto';
import { CHUNK_KEY_PREFIX, manifestKey, partitionOfDigest, partitionOfKey } from '../src/keys.js';
import {
  BODY_INLINE_MAX,
  BODY_PIECE_BYTES,
  isZeroRecord,
  type Manifest,
  RECORD_BYTES,
} from '../src/manifest.js';
import type { ClusterNode } from './cluster-node.js';
import { nodeProtocol } from './node-errors.js';
import type { Placements } from './placement.js';
import { TextConnection } from './text-connection.js';

const DIGEST_BYTES = 16;
/** Keys of one command: some 170 kB. */
const BATCH = 4096;
/** An image's use is told once in so many milliseconds. */
const AGAIN_MS = 60_000;

/**
 * Tells nodes that evict which chunks were read one-sidedly, for they see nothing of that: a command of keys per 4096
 * chunks, in the background. Nobody depends on it, so what goes wrong with it is not told.
 */
export class UsageReporter {
  readonly #nodes: readonly ClusterNode[];
  readonly #placements: Placements;
  readonly #timeoutMs: number;
  readonly #toldMs = new Map<string, number>();
  readonly #underWay = new Set<Promise<void>>();

  constructor(nodes: readonly ClusterNode[], placements: Placements, timeoutMs: number) {
    this.#nodes = nodes;
    this.#placements = placements;
    this.#timeoutMs = timeoutMs;
  }

  /** Begins to tell that an image was loaded, unless that was told a moment ago. */
  report(image: Manifest): void {
    const unseen = this.#nodes.map(
      ({ transport, volley }) => transport !== 'tcp' && volley?.all.on_full === 'evict',
    );
    if (!unseen.includes(true)) return;
    const now = performance.now();
    // The name counts, too: images of one content have a manifest each.
    const which = `${image.id} ${image.name}`;
    if (now - (this.#toldMs.get(which) ?? Number.NEGATIVE_INFINITY) < AGAIN_MS) return;
    for (const [told, toldMs] of this.#toldMs) if (now - toldMs >= AGAIN_MS) this.#toldMs.delete(told);
    this.#toldMs.set(which, now);
    const telling = this.#tell(image, unseen).catch(() => {});
    this.#underWay.add(telling);
    telling.finally(() => this.#underWay.delete(telling));
  }

  /** Waits until all that was begun has ended, which takes a bounded time. */
  async settle(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  async #tell(image: Manifest, unseen: readonly boolean[]): Promise<void> {
    const keys = this.#nodes.map(() => new Set<string>());
    const root = manifestKey(image.name);
    const placement = this.#placements.of(image.nodes);
    keys[placement.node(partitionOfKey(root))]!.add(root);
    const note = (bytes: Uint8Array, offset: number) => {
      const digest = Buffer.from(bytes.buffer, bytes.byteOffset + offset, DIGEST_BYTES).toString('hex');
      keys[placement.node(partitionOfDigest(bytes, offset))]!.add(CHUNK_KEY_PREFIX + digest);
    };
    const { records } = image;
    for (let offset = 0; offset < records.length; offset += RECORD_BYTES) {
      if (!isZeroRecord(records, offset)) note(records, offset);
    }
    for (let at = 0; records.length > BODY_INLINE_MAX && at < records.length; at += BODY_PIECE_BYTES) {
      note(
        createHash('sha256')
          .update(records.subarray(at, at + BODY_PIECE_BYTES))
          .digest(),
        0,
      );
    }
    const tellings = this.#nodes.map((node, i) =>
      unseen[i] ? this.#tellNode(node, [...keys[i]!]) : undefined,
    );
    await Promise.allSettled(tellings);
  }

  async #tellNode(node: ClusterNode, keys: readonly string[]): Promise<void> {
    const connection = await TextConnection.connect(node, this.#timeoutMs);
    try {
      for (let start = 0; start < keys.length; start += BATCH) {
        await connection.ask(`used ${keys.slice(start, start + BATCH).join(' ')}`, (line) => {
          if (!/^USED \d+$/.test(line)) throw nodeProtocol(node.name, 'used', line);
          return true;
        });
      }
    } finally {
      connection.close();
    }
  }
}
