import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster } from '../../client/index.js';
import { atLeast, type Figure, median } from '../support/figures.js';
import { writeRandomImage } from '../support/image.js';
import { reference, referenceUpload } from '../support/reference.js';
import { type Server, startMemcached, startNode } from '../support/servers.js';

const IMAGE_BYTES = 512 << 20;
const CHUNK_BYTES = 32 << 10;
/** As many with the one client first as with the other: a file that was just written is slower to read. */
const ROUNDS = 8;
/** Rounds that are not counted: the code is compiled, and the servers' memory touched, then. */
const WARM_UP_ROUNDS = 3;
/** Memory of the servers that stay: two images, and what keeping them takes. */
const WARM_SERVER_MB = 1100;
/** What a node's memory rests for after it was freed, and what a removal gives readers before that. */
const REMOVAL_MS = 4000;

/** What hashing the file takes, without reading it. */
function sha256Seconds(file: string): number {
  const fd = openSync(file, 'r');
  const piece = Buffer.allocUnsafeSlow(1 << 20);
  const hash = createHash('sha256');
  let milliseconds = 0;
  for (let read = readSync(fd, piece); read > 0; read = readSync(fd, piece)) {
    const began = performance.now();
    hash.update(piece.subarray(0, read));
    milliseconds += performance.now() - began;
  }
  closeSync(fd);
  return milliseconds / 1000;
}

async function referenceSeconds(file: string): Promise<number> {
  const stock = await startMemcached(1024);
  try {
    const [sets] = await reference('sets', stock.host, stock.port, IMAGE_BYTES, CHUNK_BYTES);
    return sets! + sha256Seconds(file);
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

/** Makes a node touch all its memory, which it hands out again afterwards. */
async function touchMemory(node: Server, folder: string): Promise<void> {
  const cluster = await Cluster.connect({ nodes: [node.name] });
  try {
    const names = ['first', 'second'];
    for (const name of names) {
      const file = join(folder, name);
      writeRandomImage(file, IMAGE_BYTES);
      await cluster.upload(file, { name });
      rmSync(file);
    }
    for (const name of names) await cluster.remove(name);
    await sleep(REMOVAL_MS);
  } finally {
    await cluster.close();
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
  const stock = await startMemcached(WARM_SERVER_MB);
  const node = await startNode(`${WARM_SERVER_MB}M`);
  try {
    const seconds = {
      upload: [] as number[],
      sets: [] as number[],
      warm: [] as number[],
      client: [] as number[],
    };
    await touchMemory(node, folder);
    const file = join(folder, 'image');
    for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
      writeRandomImage(file, IMAGE_BYTES);
      let client = round % 2 === 0 ? await referenceUpload(stock.host, stock.port, file, CHUNK_BYTES) : 0;
      const warm = await warmUploadSeconds(node, file);
      client ||= await referenceUpload(stock.host, stock.port, file, CHUNK_BYTES);
      if (round < 0) continue;
      seconds.warm.push(warm);
      seconds.client.push(client);
      seconds.sets.push(await referenceSeconds(file));
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
