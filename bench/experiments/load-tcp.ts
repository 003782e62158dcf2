import { Cluster, native } from '../../client/index.js';
import { atLeast, type Figure, median, toTell } from '../support/figures.js';
import { randomImage } from '../support/image.js';
import { reference } from '../support/reference.js';
import { type Server, startMemcached, startNode } from '../support/servers.js';

const IMAGE_BYTES = 512 << 20;
const CHUNK_BYTES = 32 << 10;
const BATCH = 64;
const ROUNDS = 7;

async function openOn(
  server: Server,
  bytes: Buffer,
): Promise<{ cluster: Cluster; load: (fresh: boolean) => Promise<number> }> {
  const cluster = await Cluster.connect({ nodes: [server.name], transport: 'tcp' });
  await cluster.upload(bytes, { name: 'bench' });
  const image = await cluster.open('bench');
  const kept = native().GuestMemory.create(IMAGE_BYTES);
  const load = async (fresh: boolean) => {
    const destination = fresh ? native().GuestMemory.create(IMAGE_BYTES) : kept;
    const { seconds } = await cluster.load(image, { destination, destinationIsZero: fresh });
    if (fresh) destination.close();
    return seconds;
  };
  await load(false);
  return { cluster, load };
}

/** Loads of a 512 MB image over `tcp` from a Volley node and from stock memcached, beside libmemcached's multi-get. */
export async function loadTcp(): Promise<Figure[]> {
  const servers: Server[] = [];
  const start = async (starting: Promise<Server>) => {
    const server = await starting;
    servers.push(server);
    return server;
  };
  try {
    const node = await start(startNode('700M'));
    const stock = await start(startMemcached(1400));
    await reference('sets', stock.host, stock.port, IMAGE_BYTES, CHUNK_BYTES);
    const bytes = randomImage(IMAGE_BYTES);
    const onNode = await openOn(node, bytes);
    const onStock = await openOn(stock, bytes);

    const seconds: Record<string, number[]> = {
      multiGet: [],
      node: [],
      stock: [],
      nodeFresh: [],
      stockFresh: [],
    };
    for (let round = 0; round < ROUNDS; round++) {
      const [, ...timed] = await reference(
        'mget',
        stock.host,
        stock.port,
        IMAGE_BYTES,
        CHUNK_BYTES,
        BATCH,
        3,
      );
      seconds.multiGet!.push(median(timed));
      seconds.node!.push(await onNode.load(false));
      seconds.stock!.push(await onStock.load(false));
      seconds.nodeFresh!.push(await onNode.load(true));
      seconds.stockFresh!.push(await onStock.load(true));
    }
    await onNode.cluster.close();
    await onStock.cluster.close();
    const speed = (what: string) => IMAGE_BYTES / median(seconds[what]!) / 1e9;
    const against = 'libmemcached mget of 64, stock memcached';
    const line = (what: string, name: string) =>
      atLeast(what, speed(name), speed('multiGet'), 1, 'GB/s', against);
    // libmemcached lets its values go at once: nothing of the reference pays for fresh pages, so nothing is asked for here.
    const told = (what: string, name: string) => toTell(what, speed(name), 'GB/s');
    return [
      line('load, tcp, Volley node', 'node'),
      line('load, tcp, stock memcached', 'stock'),
      told('load, tcp, Volley node, fresh guest memory', 'nodeFresh'),
      told('load, tcp, stock memcached, fresh guest memory', 'stockFresh'),
    ];
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}
