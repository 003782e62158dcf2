import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster } from '../client/index.js';
import { TextConnection } from '../client/text-connection.js';
import type { StorageNode } from '../server/index.js';
import { loadBytes, randomImage } from './support/images.js';
import { until } from './support/memcached.js';
import { askNode, clientOf, RunningNodes, setting } from './support/running-nodes.js';

const test = suite('exceptions that nobody thought of');
const { start: started, stop } = new RunningNodes({ memoryBytes: 64 * 1024 * 1024, logLevel: 'silent' });
test.after.each(stop);

const fault = () => {
  throw new TypeError('a fault of the test');
};

async function withCluster(work: (cluster: Cluster, node: StorageNode) => Promise<void>): Promise<void> {
  const node = await started();
  const cluster = await Cluster.connect({ nodes: [node.place] });
  try {
    await work(cluster, node);
  } finally {
    await cluster.close();
  }
}

/** What the work is rejected with. */
async function errorOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => assert.unreachable(),
    (error) => error,
  );
}

test('what the caller throws when told of progress ends the upload, and nothing else', async () => {
  await withCluster(async (cluster) => {
    const error = await errorOf(cluster.upload(randomImage(100), { name: 'a', onProgress: fault }));
    assert.match(String(error), /a fault of the test/);
    await cluster.upload(randomImage(3), { name: 'b' });
    assert.is((await loadBytes(cluster, 'b')).bytes.length, 3 * 32 * 1024);
  });
});

test('what the caller throws when told of progress ends the load, and nothing else', async () => {
  await withCluster(async (cluster) => {
    const image = randomImage(50);
    await cluster.upload(image, { name: 'a' });
    const error = await errorOf(loadBytes(cluster, 'a', { onProgress: fault }));
    assert.match(String(error), /a fault of the test/);
    assert.equal((await loadBytes(cluster, 'a')).bytes, image);
  });
});

test('an exception while an answer is taken reaches who waits for it, and all who wait behind', async () => {
  const node = await started();
  const address = { name: node.place, address: '127.0.0.1', port: node.port, credentials: null, tls: null };
  const connection = await TextConnection.connect(address, 5000);
  const asked = [connection.ask('version', fault), connection.ask('version', () => true)].map(errorOf);
  for (const error of await Promise.all(asked)) assert.match(String(error), /a fault of the test/);
});

test('an exception at a node costs the client that met it its connection, is counted, and nobody else notices', async () => {
  for (const threads of [1, 2]) {
    const node = await started({ threads });
    const other = clientOf(node).send(setting('a', 'x'));
    await other.answer('\r\n');
    const { stats } = (node as unknown as { context: { stats: { topic: (name: string) => unknown } } })
      .context;
    const { topic } = stats;
    stats.topic = fault;
    const client = clientOf(node).send('stats\r\n');
    assert.is(await client.answer(), '');
    stats.topic = topic;
    assert.is(node.counters.faults, 1);
    assert.is(await other.send('get a\r\nquit\r\n').answer(), 'VALUE a 0 1\r\nx\r\nEND\r\n');
    assert.match(await askNode(node, 'stats volley\r\n'), /STAT faults 1\r/);
  }
});

test('what a node does from time to time goes on after an exception', async () => {
  const node = await started();
  const { sweeper } = (node as unknown as { context: { sweeper: { tick: () => void } } }).context;
  const { tick } = sweeper;
  sweeper.tick = fault;
  await until(() => node.counters.faults > 0, 'the exception');
  let ticks = 0;
  sweeper.tick = () => {
    ticks++;
    tick.call(sweeper);
  };
  await until(() => ticks > 1, 'the next ticks');
});

test.run();
