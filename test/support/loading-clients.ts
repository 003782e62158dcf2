// A process of many clients that load one image over a fabric for some time and count what became of their loads.
//
//   node loading-clients.js '{"node":…,"clusters":…,"loadsPerCluster":…,"chunks":…,"seconds":…}'
//
// It prints LoadCounts as JSON. The image is loadingImage(chunks), stored as "image".

import { pathToFileURL } from 'node:url';
import { Cluster } from '../../client/index.js';
import type { VolleyError } from '../../src/errors.js';
import { native } from '../../src/native.js';
import { fallbackChunks, holds, outcomeOf } from './fabric.js';
import { CHUNK_BYTES } from './images.js';
import { Random } from './random.js';

export interface LoadingOptions {
  node: string;
  /** Clusters connected to the node, each with a control connection. */
  clusters: number;
  /** Loads at the same time per cluster, each with a connection over the fabric. */
  loadsPerCluster: number;
  chunks: number;
  seconds: number;
}

export interface LoadCounts {
  whole: number;
  /** Told as loaded, but not what was uploaded. */
  wrong: number;
  /** Of whole loads, chunks that came over tcp. */
  fallbackChunks: number;
  /** Failed loads and refused clusters, by message without numbers. */
  failures: Record<string, number>;
}

/** The same bytes in every process. */
export function loadingImage(chunks: number): Buffer {
  return new Random(7).bytes(chunks * CHUNK_BYTES);
}

async function loadInTurn(cluster: Cluster, content: Buffer, counts: LoadCounts, endMs: number) {
  const destination = native().GuestMemory.create(content.length);
  try {
    const image = await cluster.open('image');
    while (performance.now() < endMs) {
      const { report, error } = await outcomeOf(cluster, image, { destination });
      if (error) note(error, counts);
      else if (!holds(destination, content)) counts.wrong++;
      else {
        counts.whole++;
        counts.fallbackChunks += fallbackChunks(report);
      }
    }
  } catch (error) {
    note(error as VolleyError, counts);
  } finally {
    destination.close();
  }
}

function note(error: VolleyError, counts: LoadCounts): void {
  const text = `${error.code}: ${error.message.replaceAll(/\d+/g, '#')}`;
  counts.failures[text] = (counts.failures[text] ?? 0) + 1;
}

async function run(options: LoadingOptions): Promise<LoadCounts> {
  const { node, clusters, loadsPerCluster, chunks, seconds } = options;
  const content = loadingImage(chunks);
  const counts: LoadCounts = { whole: 0, wrong: 0, fallbackChunks: 0, failures: {} };
  const endMs = performance.now() + seconds * 1000;
  const client = async () => {
    let cluster: Cluster;
    try {
      cluster = await Cluster.connect({ nodes: [node], transport: 'fabric', timeoutMs: 30_000 });
    } catch (error) {
      return note(error as VolleyError, counts);
    }
    const loads = Array.from({ length: loadsPerCluster }, () => loadInTurn(cluster, content, counts, endMs));
    await Promise.all(loads);
    await cluster.close();
  };
  await Promise.all(Array.from({ length: clusters }, client));
  return counts;
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) {
  process.stdout.write(`${JSON.stringify(await run(JSON.parse(process.argv[2]!)))}\n`);
}
