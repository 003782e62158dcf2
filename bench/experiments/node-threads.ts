import { availableParallelism } from 'node:os';
import { type Load, type LoadResult, load, pin, store } from '../support/clients.js';
import { type Figure, median } from '../support/figures.js';
import { type Server, startMemcached, startNode } from '../support/servers.js';

const ROUNDS = 3;
const CHUNK_BYTES = 32_768;
const CHUNKS = 8192;
const THREADS = 2;
/** With fewer cores than this, clients and servers share them. */
const APART_CORES_MIN = 2 * THREADS;

const shared = { keys: CHUNKS, valueBytes: CHUNK_BYTES, seconds: 1.5 };
/** What is measured of each: connections × requests under way on each. */
const LOADS: [what: string, load: Load][] = [
  ['gets of 32 kB, 8×16', { ...shared, does: 'get', connections: 8, depth: 16 }],
  ['gets of 32 kB, 64×4', { ...shared, does: 'get', connections: 64, depth: 4 }],
  ['gets of 32 kB, half of 8×4 set', { ...shared, does: 'mixed', connections: 8, depth: 4 }],
];

/** Cores of servers and of each load generator, as taskset takes them. */
function placement(): { servers: string; generators: string[]; note: string } {
  const cores = availableParallelism();
  if (cores >= APART_CORES_MIN) return { servers: '0,1', generators: ['2', '3'], note: '' };
  const all = `0-${cores - 1}`;
  return { servers: all, generators: [all], note: `; clients on the same ${cores} cores` };
}

/** What several load generators get out of a server together, in GB/s. */
async function together(server: Server, what: Load, generators: readonly string[]): Promise<number> {
  const results: LoadResult[] = await Promise.all(generators.map((cores) => load(server, what, cores)));
  return results.reduce((sum, { gbPerSecond }) => sum + gbPerSecond, 0);
}

/** What a second thread gains: a node with -t 2 beside one with -t 1, and beside memcached -t 2. */
export async function threadSpeed(): Promise<Figure[]> {
  const { servers, generators, note } = placement();
  const begun: Server[] = [];
  try {
    const node = (threads: number) => startNode('600M', '-t', String(threads), '--local', 'off');
    for (const start of [
      () => node(THREADS),
      () => node(1),
      () => startMemcached(600, '-t', String(THREADS)),
    ]) {
      begun.push(await start());
    }
    for (const server of begun) {
      await pin(server, servers);
      await store(server, CHUNKS, CHUNK_BYTES);
    }
    const figures: Figure[] = [];
    for (const [what, asked] of LOADS)
      figures.push(...(await compare(begun, `${what}, -t 2${note}`, asked, generators)));
    return figures;
  } finally {
    for (const server of begun) await server.stop();
  }
}

async function compare(
  servers: readonly Server[],
  what: string,
  asked: Load,
  generators: readonly string[],
): Promise<Figure[]> {
  const rounds: number[][] = servers.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, server] of servers.entries()) rounds[i]!.push(await together(server, asked, generators));
  }
  const [two, one, memcached] = rounds.map(median) as [number, number, number];
  const row = (reference: number, against: string): Figure => ({
    what,
    figure: two,
    reference,
    unit: 'GB/s',
    against,
    ratio: two / reference,
    target: '-',
    reached: null,
  });
  return [row(one, 'the same node, -t 1'), row(memcached, `memcached -t ${THREADS}`)];
}
