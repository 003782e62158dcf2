import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster } from '../../client/index.js';
import { atLeast, type Figure, median } from '../support/figures.js';
import { randomImage } from '../support/image.js';
import { reference } from '../support/reference.js';
import { startMemcached, startNode } from '../support/servers.js';

const IMAGE_BYTES = 512 << 20;
const CHUNK_BYTES = 32 << 10;
const ROUNDS = 5;

function sha256Seconds(bytes: Buffer): number {
  const began = performance.now();
  createHash('sha256').update(bytes).digest();
  return (performance.now() - began) / 1000;
}

async function referenceSeconds(bytes: Buffer): Promise<number> {
  const stock = await startMemcached(1024);
  try {
    const [sets] = await reference('sets', stock.host, stock.port, IMAGE_BYTES, CHUNK_BYTES);
    return sets! + sha256Seconds(bytes);
  } finally {
    await stock.stop();
  }
}

async function uploadSeconds(file: string): Promise<number> {
  const node = await startNode('700M');
  try {
    const cluster = await Cluster.connect({ nodes: [node.name] });
    const { seconds } = await cluster.upload(file, { name: 'bench' });
    await cluster.close();
    return seconds;
  } finally {
    await node.stop();
  }
}

/** Uploads of a 512 MB file of random data into an empty node, beside libmemcached's sets plus SHA-256 by OpenSSL. */
export async function upload(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'volley-bench-'));
  try {
    const seconds = { upload: [] as number[], reference: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      const bytes = randomImage(IMAGE_BYTES);
      const file = join(folder, 'image');
      writeFileSync(file, bytes);
      seconds.reference.push(await referenceSeconds(bytes));
      seconds.upload.push(await uploadSeconds(file));
    }
    const speed = (times: number[]) => IMAGE_BYTES / median(times) / 1e9;
    const against = 'libmemcached sets + sha256';
    return [
      atLeast('upload, one node', speed(seconds.upload), speed(seconds.reference), 0.8, 'GB/s', against),
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
