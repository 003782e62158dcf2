import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster } from '../../client/index.js';
import { atLeast, type Figure, median } from '../support/figures.js';
import { randomImage } from '../support/image.js';
import { reference, referenceUpload } from '../support/reference.js';
import { type Server, startMemcached, startNode } from '../support/servers.js';

const IMAGE_BYTES = 512 << 20;
const CHUNK_BYTES = 32 << 10;
const ROUNDS = 7;
/** What a node's memory rests for after it was freed, and what a removal gives readers before that. */
const REMOVAL_MS = 4000;

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

/** Into memory that has held other images: what is measured is the upload, not the kernel's allocation of pages. */
async function warmUploadSeconds(node: Server, file: string): Promise<number> {
  const cluster = await Cluster.connect({ nodes: [node.name] });
  try {
    const { seconds } = await cluster.upload(file, { name: 'bench' });
    await cluster.remove('bench');
    await sleep(REMOVAL_MS);
    return seconds;
  } finally {
    await cluster.close();
  }
}

/**
 * Uploads of a 512 MB file of random data: into an empty node, beside libmemcached's sets plus SHA-256 by OpenSSL; and into
 * one whose memory was in use, beside a pipelined C client that hashes the same file and sets it on a memcached like that.
 */
export async function upload(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'volley-bench-'));
  const stock = await startMemcached(1400);
  const node = await startNode('1400M');
  try {
    const seconds = {
      upload: [] as number[],
      sets: [] as number[],
      warm: [] as number[],
      client: [] as number[],
    };
    const file = join(folder, 'image');
    for (let round = -1; round < ROUNDS; round++) {
      const bytes = randomImage(IMAGE_BYTES);
      writeFileSync(file, bytes);
      const warm = await warmUploadSeconds(node, file);
      const client = await referenceUpload(stock.host, stock.port, file, CHUNK_BYTES);
      if (round < 0) continue;
      seconds.warm.push(warm);
      seconds.client.push(client);
      seconds.sets.push(await referenceSeconds(bytes));
      seconds.upload.push(await uploadSeconds(file));
    }
    const speed = (times: number[]) => IMAGE_BYTES / median(times) / 1e9;
    const { upload, sets, warm, client } = seconds;
    const separate = 'libmemcached sets + sha256';
    const pipelined = 'pipelined C client with sha256, warm memcached';
    return [
      atLeast('upload, one empty node', speed(upload), speed(sets), 0.8, 'GB/s', separate),
      atLeast('upload, one warm node', speed(warm), speed(client), 1, 'GB/s', pipelined),
    ];
  } finally {
    await Promise.all([stock.stop(), node.stop()]);
    rmSync(folder, { recursive: true, force: true });
  }
}
