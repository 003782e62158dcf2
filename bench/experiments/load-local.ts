import { Cluster, native } from '../../client/index.js';
import { atLeast, below, type Figure, median } from '../support/figures.js';
import { randomImage } from '../support/image.js';
import { reference } from '../support/reference.js';
import { startNode } from '../support/servers.js';

const IMAGE_BYTES = 512 << 20;
const ROUNDS = 7;

/** What the node's process has used of the processor so far, as memcached's `stats` tells it. */
async function cpuSeconds(cluster: Cluster): Promise<number> {
  const stats = await cluster.nodes[0]!.control.stats('');
  return Number(stats!.rusage_user) + Number(stats!.rusage_system);
}

/** Loads of a 512 MB image over `local`, verified, into guest memory, beside memcpy of as many bytes by one thread. */
export async function loadLocal(): Promise<Figure[]> {
  const node = await startNode('700M');
  try {
    const cluster = await Cluster.connect({ nodes: [node.name], transport: 'local' });
    await cluster.upload(randomImage(IMAGE_BYTES), { name: 'bench' });
    const image = await cluster.open('bench');
    const kept = native().GuestMemory.create(IMAGE_BYTES);
    const load = async (destination: typeof kept, destinationIsZero: boolean) =>
      (await cluster.load(image, { destination, destinationIsZero })).seconds;
    await load(kept, true);

    const seconds = {
      fresh: [] as number[],
      touched: [] as number[],
      memcpyFresh: [] as number[],
      memcpyTouched: [] as number[],
    };
    const cpu: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      seconds.memcpyTouched.push(median(await reference('memcpy', IMAGE_BYTES, 3, 'warm')));
      const before = await cpuSeconds(cluster);
      seconds.touched.push(await load(kept, false));
      cpu.push((await cpuSeconds(cluster)) - before);
      seconds.memcpyFresh.push(median(await reference('memcpy', IMAGE_BYTES, 3, 'cold')));
      const fresh = native().GuestMemory.create(IMAGE_BYTES);
      seconds.fresh.push(await load(fresh, true));
      fresh.close();
    }
    kept.close();
    await cluster.close();
    const speed = (times: number[]) => IMAGE_BYTES / median(times) / 1e9;
    return [
      atLeast(
        'load, local, fresh guest memory',
        speed(seconds.fresh),
        speed(seconds.memcpyFresh),
        0.9,
        'GB/s',
        'memcpy, 1 thread, fresh',
      ),
      atLeast(
        'load, local, touched guest memory',
        speed(seconds.touched),
        speed(seconds.memcpyTouched),
        0.9,
        'GB/s',
        'memcpy, 1 thread, touched',
      ),
      below("node's CPU time during a load, local", median(cpu) * 1000, 10, 'ms'),
    ];
  } finally {
    await node.stop();
  }
}
