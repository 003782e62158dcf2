import type { Cluster, GuestMemory, LoadOptions, LoadReport, Manifest } from '../../client/index.js';
import type { VolleyError } from '../../src/errors.js';
import { CHUNK_BYTES, randomImage } from './images.js';
import { startVolleyNode, type TestNode } from './nodes.js';

/** libfabric's provider that the tests run over; the verbs VM gives another one. See docs/testing.md. */
export const PROVIDER = process.env.VOLLEY_TEST_FABRIC ?? 'net';

/** Options of a small node that is read over PROVIDER and in no other one-sided way. */
export const SMALL_NODE = [
  ...['--fabric', PROVIDER, '--local', 'off'],
  ...['-m', '32', '--table-items', '1024', '--hugepages', 'off'],
];

/** Starts a small node that is read over PROVIDER. @param args more of its options */
export function startFabricNode(...args: string[]): Promise<TestNode> {
  return startVolleyNode(...SMALL_NODE, ...args);
}

/** An image that takes long to load and little room to store: `distinct` random chunks, repeated. */
export function repeatedImage(chunks: number, distinct: number): Buffer {
  const some = randomImage(distinct);
  const image = Buffer.alloc(chunks * CHUNK_BYTES);
  for (let at = 0; at < image.length; at += some.length) some.copy(image, at);
  return image;
}

/** What became of a load. */
export type LoadOutcome = { report: LoadReport; error: null } | { report: null; error: VolleyError };

/** Loads, and returns the failure instead of throwing it. */
export async function outcomeOf(
  cluster: Cluster,
  image: Manifest,
  options: LoadOptions,
): Promise<LoadOutcome> {
  try {
    return { report: await cluster.load(image, options), error: null };
  } catch (error) {
    return { report: null, error: error as VolleyError };
  }
}

export function fallbackChunks({ nodes }: LoadReport): number {
  return nodes.reduce((sum, node) => sum + node.fallbackChunks, 0);
}

/** Whether the memory's first bytes are these. */
export function holds(memory: GuestMemory, content: Buffer): boolean {
  return memory.read(0, content.length).equals(content);
}
