import { native, type Reader, type ReaderOptions, type ReaderResult, SOURCE_SKIP } from '../../src/native.js';
import type { ClusterNode } from '../cluster-node.js';
import { ChunkStream } from './chunk-stream.js';

/** A reader for a plan, in the native code as far as that can: it does not speak TLS. */
export function makeReader(options: ReaderOptions, nodes: readonly ClusterNode[]): Reader {
  const isSecure = options.paths.some((path, i) => path.kind === 'tcp' && nodes[i]!.tls !== null);
  return isSecure ? new MixedReader(options, nodes) : new (native().Reader)(options);
}

/** Reads over TLS what has to come by it, and the rest natively, at the same time. */
class MixedReader implements Reader {
  private readonly streamed = new BigUint64Array(4);
  private readonly reader: Reader;
  private readonly streams: { path: number; stream: ChunkStream }[] = [];

  constructor(options: ReaderOptions, nodes: readonly ClusterNode[]) {
    const sources = Uint16Array.from(options.sources);
    options.paths.forEach((path, i) => {
      if (path.kind !== 'tcp' || nodes[i]!.tls === null) return;
      const chunks = take(sources, i);
      if (chunks.length === 0) return;
      const stream = new ChunkStream(nodes[i]!, options, chunks, (bytes) => this.count(bytes));
      this.streams.push({ path: i, stream });
    });
    this.reader = new (native().Reader)({ ...options, sources });
  }

  private count(bytes: number): void {
    this.streamed[0]! += 1n;
    this.streamed[1]! += BigInt(bytes);
  }

  get progress(): BigUint64Array {
    return this.streamed.map((count, i) => count + this.reader.progress[i]!);
  }

  async run(): Promise<ReaderResult> {
    const streaming = this.streams.map(({ stream }) => stream.run());
    try {
      const result = await this.reader.run();
      const streamed = await Promise.all(streaming);
      const failures = streamed.flatMap(({ failures: pairs }) => pairs);
      const paths = [...result.paths];
      this.streams.forEach(({ path }, i) => {
        paths[path] = streamed[i]!.stats;
      });
      return { ...result, paths, failures: Uint32Array.from([...result.failures, ...failures]) };
    } finally {
      // Where the native reader threw, nothing may touch the destination any more, either.
      for (const { stream } of this.streams) stream.cancel();
      await Promise.all(streaming);
    }
  }

  cancel(): void {
    this.reader.cancel();
    for (const { stream } of this.streams) stream.cancel();
  }
}

/** The chunks that come from this path, which are left out of `sources` then. */
function take(sources: Uint16Array, path: number): number[] {
  const chunks: number[] = [];
  sources.forEach((source, chunk) => {
    if (source !== path) return;
    chunks.push(chunk);
    sources[chunk] = SOURCE_SKIP;
  });
  return chunks;
}
