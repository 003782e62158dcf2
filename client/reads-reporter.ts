import type { ClusterNode } from './cluster-node.js';
import type { NodeLoadReport } from './load/report.js';
import { nodeProtocol } from './node-errors.js';
import { TextConnection } from './text-connection.js';

/** A node is told once in so many milliseconds. */
const AGAIN_MS = 10_000;
/** What a client that is about to end waits for it at most, in milliseconds. */
const TIMEOUT_MS_MAX = 1000;

/** What one node has not been told yet. */
interface Untold {
  chunks: number;
  bytes: number;
}

/**
 * Tells nodes how much was read from them one-sidedly, which they see nothing of, for their statistics: a line after the
 * first load, then one in a while for all loads since. In the background; what goes wrong with it is not told.
 */
export class ReadsReporter {
  readonly #nodes: readonly ClusterNode[];
  readonly #timeoutMs: number;
  readonly #untold: Untold[];
  #timer: NodeJS.Timeout | undefined;
  #telling: Promise<unknown> = Promise.resolve();

  constructor(nodes: readonly ClusterNode[], timeoutMs: number) {
    this.#nodes = nodes;
    this.#timeoutMs = Math.min(timeoutMs, TIMEOUT_MS_MAX);
    this.#untold = nodes.map(() => ({ chunks: 0, bytes: 0 }));
  }

  /**
   * Takes down what a load read.
   * @param reports one per node, in their order
   * @param chunkBytes of the image
   */
  note(reports: readonly NodeLoadReport[], chunkBytes: number): void {
    this.#nodes.forEach(({ transport, volley }, i) => {
      // Stock memcached, and nodes from before there was such a command, have no such figure.
      if (transport === 'tcp' || volley?.all[`reads_${transport}`] === undefined) return;
      const { chunks, bytes, fallbackChunks } = reports[i]!;
      // A node sees for itself what came over tcp.
      this.#untold[i]!.chunks += chunks - fallbackChunks;
      this.#untold[i]!.bytes += Math.max(0, bytes - fallbackChunks * chunkBytes);
    });
    if (this.#timer !== undefined || !this.#untold.some(({ chunks }) => chunks > 0)) return;
    this.#tell();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#tell();
    }, AGAIN_MS).unref();
  }

  /** Tells what has not been told yet, and waits until that has ended, which takes a bounded time. */
  async settle(): Promise<void> {
    clearTimeout(this.#timer);
    this.#tell();
    await this.#telling;
  }

  #tell(): void {
    const tellings = this.#nodes.flatMap((node, i) => {
      const { chunks, bytes } = this.#untold[i]!;
      if (chunks === 0) return [];
      this.#untold[i] = { chunks: 0, bytes: 0 };
      return [this.#tellNode(node, `reads ${node.transport} ${chunks} ${bytes}`)];
    });
    this.#telling = Promise.allSettled([this.#telling, ...tellings]);
  }

  async #tellNode(node: ClusterNode, line: string): Promise<void> {
    const connection = await TextConnection.connect(node, this.#timeoutMs);
    try {
      await connection.ask(line, (answer) => {
        if (answer !== 'OK') throw nodeProtocol(node.name, 'reads', answer);
        return true;
      });
    } finally {
      connection.close();
    }
  }
}
