import { Cluster, native } from '../../client/index.js';
import { atLeast, type Figure, median } from '../support/figures.js';
import { randomImage } from '../support/image.js';
import { reference } from '../support/reference.js';
import { startNode } from '../support/servers.js';

const IMAGE_BYTES = 512 << 20;
const ROUNDS = 7;

/** Loads of a 512 MB image over libfabric's net provider, beside a bare TCP stream over loopback. */
export async function loadFabric(): Promise<Figure[]> {
  const node = await startNode('700M', '--fabric', 'net');
  try {
    const cluster = await Cluster.connect({ nodes: [node.name], transport: 'fabric' });
    await cluster.upload(randomImage(IMAGE_BYTES), { name: 'bench' });
    const image = await cluster.open('bench');
    const destination = native().GuestMemory.create(IMAGE_BYTES);
    await cluster.load(image, { destination });
    const seconds = { fabric: [] as number[], stream: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      seconds.stream.push(median((await reference('stream', IMAGE_BYTES, 4)).slice(1)));
      seconds.fabric.push((await cluster.load(image, { destination })).seconds);
    }
    destination.close();
    await cluster.close();
    const speed = (times: number[]) => IMAGE_BYTES / median(times) / 1e9;
    return [
      atLeast(
        'load, fabric net',
        speed(seconds.fabric),
        speed(seconds.stream),
        0.9,
        'GB/s',
        'TCP stream, read()',
      ),
    ];
  } finally {
    await node.stop();
  }
}
