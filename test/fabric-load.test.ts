import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster, LoadReport } from '../client/index.js';
import { StorageNode } from '../server/index.js';
import { contentDigest } from '../src/digest.js';
import { chunkKey } from '../src/keys.js';
import { BUCKET_BYTES, native } from '../src/native.js';
import { ROOT } from '../src/root.js';
import { HOST } from './support/host.js';
import { CHUNK_BYTES, loadBytes, randomImage } from './support/images.js';
import { startMemcached, startVolleyNode, type TestNode, withCluster, withNodes } from './support/nodes.js';
import { ask, deleteItem, setItem } from './support/raw-client.js';
import { rejects } from './support/rejection.js';

/**
 * libfabric's provider over plain sockets: the code is that of verbs, and it runs anywhere. The verbs VM runs these tests
 * over verbs itself.
 */
const PROVIDER = process.env.VOLLEY_TEST_FABRIC ?? 'net';
const TIMEOUT_MS = 500;
/** An emulated machine may take long over anything. */
const CLIENT_TIMEOUT_MS = PROVIDER.startsWith('verbs') ? 10_000 : 2000;
const COMMAND_TIMEOUT_MS = 40_000;
/** Each takes a quarter of a second over reliable datagrams; over verbs verbs/failures makes hundreds. */
const CONNECTIONS = PROVIDER === 'net' ? 100 : 16;
const WARM_UP = PROVIDER === 'net' ? 10 : 4;
const test = suite(`fabric over ${PROVIDER}`);
/** What has nothing to do with the kind of endpoint is tested with connected ones. */
const onceTest = PROVIDER.includes(';') ? test.skip : test;
/** What has nothing to do with the provider either. */
const commandTest = PROVIDER === 'net' ? test : test.skip;
/** Over verbs this is what verbs/failures does, and more. */
const troubleTest = PROVIDER.startsWith('verbs') ? test.skip : test;
/** Emulated processors have no time for three (verbs/over-verbs has as many), nor have two for threads that keep looking. */
const NODES = PROVIDER === 'net' ? 3 : 1;
const startNode = () =>
  startVolleyNode('--fabric', PROVIDER, '--hugepages', 'off', '-m', '32', '--table-items', '1024');
/** Nodes that live as long as the tests do: in an emulated machine each takes seconds to start. */
const nodes = await Promise.all(Array.from({ length: NODES }, startNode));
test.after(async () => {
  await Promise.all(nodes.map((node) => node.process.kill()));
});
const byFabric = { transport: 'fabric', timeoutMs: CLIENT_TIMEOUT_MS } as const;

function keyOfChunk(content: Buffer, chunk: number): string {
  return chunkKey(contentDigest(content.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES)));
}

function fallbackChunks({ nodes }: LoadReport): number {
  return nodes.reduce((sum, node) => sum + node.fallbackChunks, 0);
}

/** A chunk is found in its first bucket or in its other one. */
const BUCKETS_OF_20: [least: number, most: number] = [20 * BUCKET_BYTES, 40 * BUCKET_BYTES];

/** Of a table its bucket count is read first. */
function tableBytes(cluster: Cluster): number {
  return cluster.nodes.reduce((sum, { region }) => sum + 8 + region!.info.bucketCount * BUCKET_BYTES, 0);
}

for (const [what, chunks, indexBounds] of [
  ['few chunks, buckets read one by one', 20, () => BUCKETS_OF_20],
  [
    'so many chunks that the tables are copied',
    110 * NODES,
    (cluster: Cluster) => [tableBytes(cluster), tableBytes(cluster)],
  ],
] as const) {
  test(`an image is whole after a load from ${NODES} nodes: ${what}`, async () => {
    await withCluster(
      nodes,
      async (cluster) => {
        const content = randomImage(chunks, 777);
        await cluster.upload(content, { name: 'image' });
        const { bytes, report } = await loadBytes(cluster, 'image');
        assert.ok(bytes.equals(content));
        assert.is(fallbackChunks(report), 0);
        assert.is(report.retries, 0);
        const indexBytes = report.nodes.reduce((sum, node) => sum + node.indexBytes, 0);
        const [least, most] = indexBounds(cluster);
        assert.ok(indexBytes >= least && indexBytes <= most, `${indexBytes} bytes of hashtables`);
        assert.ok(report.nodes.every(({ transport }) => transport === 'fabric'));
        assert.is(
          report.nodes.reduce((sum, node) => sum + node.chunks, 0),
          chunks,
        );
      },
      byFabric,
    );
  });
}

/** Has one node hold an image, and tells how to load it over the fabric. */
async function withImage(
  work: (node: TestNode, cluster: Cluster, load: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const [node] = nodes;
  await withCluster(
    [node!],
    async (cluster) => {
      await cluster.upload(randomImage(200), { name: 'image' });
      const image = await cluster.open('image');
      const destination = native().GuestMemory.create(image.imageBytes);
      await work(node!, cluster, () => cluster.load(image, { destination }));
      destination.close();
    },
    byFabric,
  );
}

test('a node is not asked for anything while chunks are read', async () => {
  await withImage(async (_node, cluster, load) => {
    const gets = async () => Number((await cluster.nodes[0]!.control.stats(''))!.cmd_get);
    const before = await gets();
    await load();
    assert.is(await gets(), before);
  });
});

commandTest(
  'a table that has grown since the client came is copied as it is now, and told as such',
  async () => {
    const items = Array.from({ length: 6000 }, (_, i) => `set key-${i} 0 0 1 noreply\r\nx\r\n`);
    const start = () => startVolleyNode('--fabric', PROVIDER, '--hugepages', 'off', '-m', '64');
    await withNodes([start], (node) =>
      withCluster(
        [node],
        async (cluster) => {
          const small = cluster.nodes[0]!.region!.info.bucketCount;
          await ask(node.port, `${items.join('')}mn\r\n`, 'MN\r\n');
          await cluster.upload(randomImage(640), { name: 'image' });
          const { report } = await loadBytes(cluster, 'image');
          assert.is(report.nodes[0]!.fallbackChunks, 0);
          assert.ok(report.nodes[0]!.indexBytes > 8 + small * BUCKET_BYTES, `${report.nodes[0]!.indexBytes}`);
        },
        byFabric,
      ),
    );
  },
);

test('chunks that were deleted and stored anew after the table was copied are found all the same', async () => {
  // Holds the image and little more; its table is small enough to be copied.
  const node = new StorageNode({
    address: HOST,
    port: 0,
    fabric: PROVIDER,
    memoryBytes: 16 << 20,
    tableItems: 1024,
    local: 'off',
  });
  await node.start();
  try {
    await withCluster(
      [{ name: `${HOST}:${node.port}` }],
      async (cluster) => {
        const content = randomImage(200);
        await cluster.upload(content, { name: 'image' });
        await loadBytes(cluster, 'image');
        for (const chunk of [3, 100, 199]) {
          await deleteItem(node.port, keyOfChunk(content, chunk));
          const bytes = content.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);
          // Something else takes the slot that came free, as soon as it may.
          await setItem(node.port, 'something-else', randomImage(1));
          await setItem(node.port, keyOfChunk(content, chunk), bytes);
        }
        await sleep(1200);
        // The node is filled up, so that the slots that came free are taken by other items.
        for (let filled = 0, full = false; !full; filled++) {
          full = await setItem(node.port, `filler-${filled}`, randomImage(1)).then(
            () => filled > 200,
            () => true,
          );
        }
        const { bytes, report } = await loadBytes(cluster, 'image');
        assert.ok(bytes.equals(content));
        assert.is(fallbackChunks(report), 0);
        assert.ok(report.retries >= 1, 'at least one stale entry was read again');
      },
      byFabric,
    );
  } finally {
    await node.stop();
  }
});

test('a chunk with wrong bytes, or none, is told of by image, chunk and node', async () => {
  const [node] = nodes;
  await withCluster(
    [node!],
    async (cluster) => {
      const content = randomImage(40);
      await cluster.upload(content, { name: 'image' });
      await setItem(node!.port, keyOfChunk(content, 17), randomImage(1));
      const told = ['"image"', 'chunk 17 of 40', node!.name] as const;
      await rejects(loadBytes(cluster, 'image'), 'ERR_VOLLEY_CHUNK', ...told, 'checksum');
      await deleteItem(node!.port, keyOfChunk(content, 17));
      await rejects(loadBytes(cluster, 'image'), 'ERR_VOLLEY_CHUNK', ...told);
      await setItem(
        node!.port,
        keyOfChunk(content, 17),
        content.subarray(17 * CHUNK_BYTES, 18 * CHUNK_BYTES),
      );
      assert.ok((await loadBytes(cluster, 'image')).bytes.equals(content), 'the next load works');
    },
    byFabric,
  );
});

async function loadWhile(node: TestNode, trouble: () => void): Promise<void> {
  await withCluster(
    [node],
    async (cluster) => {
      const content = randomImage(800);
      await cluster.upload(content, { name: 'image' });
      const image = await cluster.open('image');
      const destination = native().GuestMemory.create(image.imageBytes);
      await cluster.load(image, { destination });
      const loading = (async () => {
        for (;;) await cluster.load(image, { destination, readTimeoutMs: TIMEOUT_MS });
      })();
      setTimeout(trouble, 40);
      const error = await loading.then(
        () => null,
        (reason: Error & { code: string }) => reason,
      );
      assert.match(error!.message, /"image"/);
      assert.match(error!.message, new RegExp(node.name));
      assert.match(error!.code, /ERR_VOLLEY_(NODE_DOWN|TIMEOUT|CHUNK)/);
      const paint = Buffer.alloc(image.imageBytes, 0x5a);
      destination.write(0, paint);
      node.process.signal('SIGCONT');
      await sleep(300);
      assert.ok(destination.read(0, paint.length).equals(paint), 'no byte came after the load had ended');
      destination.close();
    },
    byFabric,
  );
}

for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
  troubleTest(`a node that gets ${signal} in mid-load is named, and no byte comes late`, async () => {
    await withNodes([startNode], (node) => loadWhile(node!, () => node!.process.signal(signal)));
  });
}

test('a wrong key, a port where nobody listens and a stranger are refused clearly', async () => {
  const [node] = nodes;
  await withNodes([() => startMemcached()], async (stock) => {
    await withCluster([node!], async (cluster) => {
      const { fabric } = cluster.nodes[0]!.volley!;
      const open = (change: object) =>
        native().openRemoteRegion({ ...fabric!, host: HOST, timeoutMs: 500, ...change });
      (await open({})).close();
      await rejects(open({ key: fabric!.key ^ 1n }), 'ERR_VOLLEY_FABRIC', HOST);
      await rejects(open({ base: 1n << 62n }), 'ERR_VOLLEY_FABRIC', HOST);
      await rejects(open({ provider: 'nosuch' }), 'ERR_VOLLEY_FABRIC', 'nosuch', 'volley doctor');
      // Endpoints for reliable datagrams have an address of their own, which the port is no part of.
      if (fabric!.address.length === 0) {
        await rejects(open({ port: 1 }), 'ERR_VOLLEY_FABRIC', HOST);
        // What listens there speaks another protocol: no answer, or a refusal.
        const error = await open({ port: stock!.port }).then(
          () => null,
          (reason: { code: string }) => reason,
        );
        assert.match(error!.code, /ERR_VOLLEY_(FABRIC|TIMEOUT)/);
      }
      (await open({})).close();
    });
  });
});

commandTest(
  'a node without a fabric is read another way, or refused when a fabric was insisted on',
  async () => {
    await withNodes([() => startVolleyNode('--fabric', 'off', '--local', 'off')], async (node) => {
      await withCluster([node!], async (cluster) => {
        assert.is(cluster.nodes[0]!.transport, 'tcp');
        assert.match(cluster.nodes[0]!.transportReason, /offers no fabric/);
      });
      const insisting = withCluster([node!], async () => {}, byFabric);
      await rejects(insisting, 'ERR_VOLLEY_TRANSPORT', node!.name, 'offers no fabric', '--fabric');
    });
  },
);

commandTest('a node whose provider does not exist does not start, and says why', async () => {
  const args = [join(ROOT, 'bin/volley'), 'node', '-l', HOST, '-p', '0', '--fabric', 'nosuch'];
  const { status, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    timeout: COMMAND_TIMEOUT_MS,
  });
  assert.is(status, 1);
  assert.match(stderr, /^volley: .*nosuch.*volley doctor.*\n$/);
});

test('a process started in mid-load inherits no connection to a node', async () => {
  await withImage(async (node, _cluster, load) => {
    node.process.signal('SIGSTOP');
    const loading = load();
    await sleep(200);
    const open = readdirSync('/proc/self/fd').length;
    const { stdout } = spawnSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' });
    node.process.signal('SIGCONT');
    await loading;
    const inherited = stdout.split('\n').filter((line) => / ([3-9]|\d{2,}) -> socket:/.test(line));
    assert.equal(inherited, [], `${open} descriptors were open`);
  });
});

test(`${CONNECTIONS} connections that fail leave no descriptor, no thread and no connection behind`, async () => {
  const [node] = nodes;
  await withCluster([node!], async (cluster) => {
    const { fabric } = cluster.nodes[0]!.volley!;
    const fail = () =>
      native()
        .openRemoteRegion({ ...fabric!, host: HOST, timeoutMs: 2000, key: fabric!.key ^ 1n })
        .catch(() => {});
    for (let i = 0; i < WARM_UP; i++) await fail();
    const held = () => [readdirSync('/proc/self/fd').length, readdirSync('/proc/self/task').length];
    const before = held();
    for (let i = 0; i < CONNECTIONS; i++) await fail();
    const after = held();
    assert.ok(after[0]! <= before[0]! + 4, `descriptors: ${before[0]} before, ${after[0]} after`);
    assert.ok(after[1]! <= before[1]!, `threads: ${before[1]} before, ${after[1]} after`);
    let connections = Number.NaN;
    for (let tries = 0; tries < 50 && connections !== 0; tries++) {
      connections = Number((await cluster.nodes[0]!.control.stats('volley'))!.fabric_connections);
      await sleep(50);
    }
    assert.is(connections, 0);
  });
});

onceTest('libfabric leaves the signal handlers of the process to Node', async () => {
  const end = async (node: TestNode, signal: 'SIGTERM' | 'SIGINT') => {
    node.process.signal(signal);
    assert.is(await node.process.ended(), 0, `${signal}: the node drained and ended by itself`);
  };
  await end(nodes.at(-1)!, 'SIGTERM');
  if (nodes.length > 1) await end(nodes[0]!, 'SIGINT');
});

test.run();
