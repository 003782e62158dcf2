import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster } from '../client/index.js';
import { StorageNode } from '../server/index.js';
import type { NodeOptions } from '../server/options.js';
import { runCli } from './support/cli.js';
import { CHUNK_BYTES, loadBytes, randomImage } from './support/images.js';
import { deleteItem } from './support/raw-client.js';
import { askNode } from './support/running-nodes.js';
import { figure, storeMany } from './support/stores.js';

const test = suite('images on nodes that evict');
const MIB = 1024 * 1024;

async function withNode(
  options: Partial<NodeOptions>,
  work: (node: StorageNode, cluster: Cluster) => Promise<void>,
): Promise<void> {
  const local = `/tmp/volley-test-${process.pid}.sock`;
  const node = new StorageNode({ port: 0, local, fabric: 'off', quarantineMs: 200, ...options });
  await node.start();
  try {
    const cluster = await Cluster.connect({ nodes: [node.name] });
    try {
      await work(node, cluster);
    } finally {
      await cluster.close();
    }
  } finally {
    await node.stop();
  }
}

test('an image that is loaded one-sidedly stays, one that was not used for longer goes', async () => {
  await withNode({ onFull: 'evict', memoryBytes: 16 * MIB }, async (node, cluster) => {
    const used = randomImage(100);
    await cluster.upload(used, { name: 'used' });
    await cluster.upload(randomImage(100), { name: 'unused' });
    for (let round = 0; round < 5; round++) {
      const other = await Cluster.connect({ nodes: [node.name], transport: 'local' });
      const { bytes, report } = await loadBytes(other, 'used');
      assert.ok(bytes.equals(used));
      assert.is(report.nodes[0]!.fallbackChunks, 0);
      await other.close(); // what was used is told by then
      await storeMany(node.port, `other${round}`, 150, CHUNK_BYTES);
    }
    assert.ok((await figure(node.port, 'items_used', 'volley')) >= 5 * 101);
    assert.ok((await loadBytes(cluster, 'used')).bytes.equals(used));
    const images = await cluster.images();
    assert.is(images.find(({ name }) => name === 'used')!.missingChunks, 0);
    const unused = images.find(({ name }) => name === 'unused');
    assert.ok(!unused || unused.missingChunks! > 50, 'the image that nobody used lost its chunks');
  });
});

test('telling what was used costs one short command, once a minute per image, and leaves exptimes alone', async () => {
  await withNode({ onFull: 'evict', memoryBytes: 16 * MIB }, async (node, cluster) => {
    const content = randomImage(50);
    await cluster.upload(content, { name: 'image' });
    const { cmdGet, cmdTouch } = node.counters;
    const usedOnce = async (items: number) => {
      for (let i = 0; i < 3; i++) await loadBytes(cluster, 'image');
      const used = () => figure(node.port, 'items_used', 'volley');
      for (let waited = 0; waited < 100 && (await used()) < items; waited++) await delay(20);
      await delay(50);
      assert.is(await used(), items);
    };
    await usedOnce(51); // the chunks and the manifest
    await usedOnce(51);
    assert.equal(
      [node.counters.cmdGet - cmdGet, node.counters.cmdTouch - cmdTouch],
      [6, 0],
      'manifests alone',
    );
    await cluster.upload(content, { name: 'the same under another name' });
    await loadBytes(cluster, 'the same under another name');
    await usedOnce(102);
    const answer = await askNode(node, 'set a 0 1000 1\r\nx\r\nused a none\r\nmg a t\r\n');
    assert.match(answer, /^STORED\r\nUSED 1\r\nHD t(1000|999)\r\n$/);
  });
  await withNode({ memoryBytes: 16 * MIB }, async (node, cluster) => {
    await cluster.upload(randomImage(50), { name: 'image' });
    await loadBytes(cluster, 'image');
    await cluster.close();
    assert.is(await figure(node.port, 'items_used', 'volley'), 0, 'a node that does not evict is not told');
  });
});

test('loads amid eviction bring right bytes or tell what is missing', async () => {
  await withNode({ onFull: 'evict', memoryBytes: 8 * MIB, quarantineMs: 0 }, async (node, cluster) => {
    const image = randomImage(120);
    await cluster.upload(image, { name: 'image' });
    const state = { isOver: false };
    const storing = (async () => {
      for (let round = 0; !state.isOver; round++) await storeMany(node.port, `o${round}`, 60, CHUNK_BYTES);
    })();
    let whole = 0;
    let lost = 0;
    for (let i = 0; i < 25; i++) {
      try {
        assert.ok((await loadBytes(cluster, 'image')).bytes.equals(image));
        whole++;
      } catch (error) {
        if ((error as { code?: string }).code === 'ERR_ASSERTION') throw error;
        assert.match((error as Error).message, /image "image"|no image "image"/);
        lost++;
        await cluster.upload(image, { name: 'image' }).catch(() => {});
      }
    }
    state.isOver = true;
    await storing;
    assert.is(whole + lost, 25);
    assert.ok(whole > 0, `${whole} whole, ${lost} lost`);
  });
});

test('images and load tell of chunks that were lost', async () => {
  await withNode({ memoryBytes: 16 * MIB }, async (node, cluster) => {
    const image = randomImage(40);
    await cluster.upload(image, { name: 'torn' });
    await cluster.upload(randomImage(3), { name: 'whole' });
    const { records } = await cluster.open('torn');
    for (const chunk of [7, 21]) {
      const digest = Buffer.from(records.subarray(24 * chunk, 24 * chunk + 16)).toString('hex');
      await deleteItem(node.port, `volley:c:${digest}`);
    }
    const images = await cluster.images();
    assert.equal(
      images.map(({ name, missingChunks }) => [name, missingChunks]),
      [
        ['torn', 2],
        ['whole', 0],
      ],
    );
    const message = await loadBytes(cluster, 'torn').then(
      () => 'loaded',
      (error: Error) => error.message,
    );
    assert.match(
      message,
      /image "torn": chunk 7 of 40 on node .* is not there, nor 1 more chunks; upload the image again/,
    );
    const told = await runCli(['images', '--nodes', node.name]);
    assert.match(told.stdout, /torn +1\.\d+ MB .*incomplete/);
    assert.match(told.stdout, /incomplete: "torn" has lost 2 of 40 chunks; upload it again/);
    const json = JSON.parse((await runCli(['images', '--json', '--nodes', node.name])).stdout);
    assert.equal(
      json.images.map((one: { missingChunks: number }) => one.missingChunks),
      [2, 0],
    );
    await cluster.upload(image, { name: 'torn' });
    assert.is((await cluster.images())[0]!.missingChunks, 0);
  });
});

test('a listing with many images that lost chunks prints nothing on stderr', async () => {
  await withNode({ memoryBytes: 16 * MIB }, async (node, cluster) => {
    for (const name of ['a', 'b', 'c', 'd']) {
      await cluster.upload(randomImage(10), { name });
      const { records } = await cluster.open(name);
      for (let chunk = 0; chunk < 10; chunk++) {
        const digest = Buffer.from(records.subarray(24 * chunk, 24 * chunk + 16)).toString('hex');
        await deleteItem(node.port, `volley:c:${digest}`);
      }
    }
    const { stdout, stderr } = await runCli(['images', '--nodes', node.name]);
    assert.is(stdout.match(/has lost 10 of 10 chunks/g)?.length, 4);
    assert.is(stderr, '');
  });
});

test.run();
