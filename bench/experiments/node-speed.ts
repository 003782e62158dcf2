import { type Load, type LoadResult, load, pin, store } from '../support/clients.js';
import { atLeast, atMost, type Figure, median } from '../support/figures.js';
import { type Server, startMemcached, startNode } from '../support/servers.js';
import { threadSpeed } from './node-threads.js';

const ROUNDS = 3;
const CHUNK_BYTES = 32_768;
const CHUNKS = 8192;
const SMALL_BYTES = 100;
const AGAINST = 'memcached -t 1';

type Pairs = { node: LoadResult; memcached: LoadResult }[];

const chunks = { keys: CHUNKS, valueBytes: CHUNK_BYTES, seconds: 1.5 };
const small = { keys: CHUNKS, valueBytes: SMALL_BYTES, seconds: 1.5 };

/** Shapes of pipelined gets: connections × requests under way on each. */
const SHAPES = [
  [1, 64],
  [8, 16],
  [64, 4],
  [1000, 1],
] as const;

async function inTurns(node: Server, memcached: Server, what: Load): Promise<Pairs> {
  const pairs: Pairs = [];
  for (let round = 0; round < ROUNDS; round++) {
    pairs.push({ memcached: await load(memcached, what), node: await load(node, what) });
  }
  return pairs;
}

function medians(pairs: Pairs, of: keyof LoadResult): [node: number, memcached: number] {
  return [median(pairs.map(({ node }) => node[of])), median(pairs.map(({ memcached }) => memcached[of]))];
}

const most = (what: string, pairs: Pairs, of: keyof LoadResult, ratio: number, unit: string) =>
  atMost(what, ...medians(pairs, of), ratio, unit, AGAINST);
const least = (what: string, pairs: Pairs, of: keyof LoadResult, ratio: number, unit: string) =>
  atLeast(what, ...medians(pairs, of), ratio, unit, AGAINST);

async function measureChunks(node: Server, memcached: Server): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const server of [node, memcached]) await store(server, CHUNKS, CHUNK_BYTES);
  let cpu: Figure | undefined;
  for (const [connections, depth] of SHAPES) {
    const pairs = await inTurns(node, memcached, { ...chunks, does: 'get', connections, depth });
    figures.push(least(`gets of 32 kB, ${connections}×${depth}`, pairs, 'gbPerSecond', 1.1, 'GB/s'));
    if (connections === 8) cpu = most('  its CPU seconds per GB', pairs, 'cpuSecondsPerGb', 0.7, 's/GB');
  }
  figures.push(cpu!);
  const one = await inTurns(node, memcached, { ...chunks, does: 'get', connections: 1, depth: 1 });
  figures.push(most('gets one at a time, p50', one, 'p50Us', 1, 'µs'));
  figures.push(most('gets one at a time, p99', one, 'p99Us', 1, 'µs'));
  const mixed = await inTurns(node, memcached, { ...chunks, does: 'mixed', connections: 2, depth: 1 });
  figures.push(least('gets one at a time while another sets', mixed, 'requestsPerSecond', 1, '/s'));
  for (const [connections, depth] of [
    [1, 1],
    [8, 4],
  ] as const) {
    const sets = await inTurns(node, memcached, { ...chunks, does: 'set', connections, depth });
    figures.push(least(`sets of 32 kB, ${connections}×${depth}`, sets, 'gbPerSecond', 1, 'GB/s'));
  }
  return figures;
}

async function measureSmall(node: Server, memcached: Server): Promise<Figure[]> {
  for (const server of [node, memcached]) await store(server, CHUNKS, SMALL_BYTES);
  const pairs = await inTurns(node, memcached, { ...small, does: 'get', connections: 8, depth: 16 });
  return [least('gets of 100 B, 8×16', pairs, 'requestsPerSecond', 0.7, '/s')];
}

/** A storage node beside stock memcached under the same load generator, and what a second thread gains. */
export async function nodeSpeed(): Promise<Figure[]> {
  return [...(await oneThread()), ...(await threadSpeed())];
}

/** Servers on one core, clients on another. */
async function oneThread(): Promise<Figure[]> {
  const node = await startNode('600M', '-c', '4096', '--local', 'off');
  const memcached = await startMemcached(600, '-t', '1', '-c', '4096');
  try {
    for (const server of [node, memcached]) await pin(server);
    return [...(await measureChunks(node, memcached)), ...(await measureSmall(node, memcached))];
  } finally {
    await node.stop();
    await memcached.stop();
  }
}
