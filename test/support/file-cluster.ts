import type { Cluster, LoadOptions, LoadReport, Manifest } from '../../client/index.js';
import { VolleyError } from '../../src/errors.js';

/** What the boot hook needs of a cluster, over buffers in this process. */
export class FileCluster implements Pick<Cluster, 'open' | 'load' | 'read' | 'stages'> {
  readonly stages = { connectMs: 0, tablesMs: 0 };
  readonly #images = new Map<string, { bytes: Buffer; kind: Manifest['kind'] }>();
  /** Loads that have begun and not settled. */
  running = 0;
  /** Makes every load wait for its signal. */
  hang = false;

  add(name: string, bytes: Buffer, kind: Manifest['kind'] = 'raw'): this {
    this.#images.set(name, { bytes, kind });
    return this;
  }

  async open(name: string): Promise<Manifest> {
    const image = this.#images.get(name);
    if (!image) throw new VolleyError('ERR_VOLLEY_NOT_FOUND', `there is no image "${name}"`);
    const { bytes, kind } = image;
    const chunkCount = Math.ceil(bytes.length / 32_768);
    const shape = { imageBytes: bytes.length, chunkBytes: 32_768, chunkCount };
    return {
      name,
      ...shape,
      kind,
      id: '0'.repeat(32),
      createdMs: 0,
      records: new Uint8Array(24 * chunkCount),
    };
  }

  async read(image: Manifest, offset: number, length: number): Promise<Buffer> {
    return Buffer.from(this.#images.get(image.name)!.bytes.subarray(offset, offset + length));
  }

  async load(image: Manifest, options: LoadOptions): Promise<LoadReport> {
    this.running++;
    try {
      if (this.hang) await untilAborted(options.signal);
      const { bytes } = this.#images.get(image.name)!;
      options.destination.write(options.destinationOffset ?? 0, bytes);
      return reportOf(image);
    } finally {
      this.running--;
    }
  }
}

/** Rejects some time after the signal, as a load does that waits for its threads. */
function untilAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const stop = () => setTimeout(() => reject(new VolleyError('ERR_VOLLEY_ABORTED', 'interrupted')), 50);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

function reportOf({ name, imageBytes, chunkCount }: Manifest): LoadReport {
  const none = { zeroChunks: 0, sharedChunks: 0, retries: 0, checksumFailures: 0 };
  const stages = { readMs: 1, verifyMs: 1 };
  return {
    name,
    nodeListDifference: null,
    bytes: imageBytes,
    chunks: chunkCount,
    ...none,
    seconds: 0.002,
    gbPerSecond: 1,
    stages,
    nodes: [],
  };
}
