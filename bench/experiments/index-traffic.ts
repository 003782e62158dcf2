import { Cluster, native } from '../../client/index.js';
import { BUCKET_BYTES } from '../../src/native.js';
import { below, type Figure, toTell } from '../support/figures.js';
import { randomImage } from '../support/image.js';
import { startNode } from '../support/servers.js';

const IMAGE_BYTES = 100 << 20;
const IMAGES = 41;
const SHARE_MAX = 0.05;

/** What finding the chunks of a 100 MB image costs in traffic, when the node holds 4 GB of other images. */
export async function indexTraffic(): Promise<Figure[]> {
  const node = await startNode('4400M', '--fabric', 'net');
  const destination = native().GuestMemory.create(IMAGE_BYTES);
  try {
    const uploader = await Cluster.connect({ nodes: [node.name] });
    for (let image = 0; image < IMAGES; image++) {
      await uploader.upload(randomImage(IMAGE_BYTES), { name: `image-${image}` });
    }
    await uploader.close();
    const cluster = await Cluster.connect({ nodes: [node.name], transport: 'fabric' });
    const { nodes, gbPerSecond } = await cluster.load(await cluster.open('image-17'), { destination });
    const tableBytes = cluster.nodes[0]!.region!.info.bucketCount * BUCKET_BYTES;
    await cluster.close();
    const { indexBytes, bytes } = nodes[0]!;
    return [
      below('index traffic, 100 MB of 4 GB', (100 * indexBytes) / bytes, 100 * SHARE_MAX, '%'),
      toTell('  the whole table would be', (100 * tableBytes) / bytes, '%'),
      toTell('  that load, cold', gbPerSecond, 'GB/s'),
    ];
  } finally {
    destination.close();
    await node.stop();
  }
}
