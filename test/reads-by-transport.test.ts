import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster } from '../client/index.js';
import { StorageNode } from '../server/index.js';
import { loadBytes, randomImage } from './support/images.js';
import { RawClient, until } from './support/memcached.js';
import { figure } from './support/stores.js';

const test = suite('reads by transport');
const MIB = 1024 * 1024;
const CHUNKS = 20;

async function withNode(work: (node: StorageNode) => Promise<void>): Promise<void> {
  const local = `/tmp/volley-test-reads-${process.pid}.sock`;
  const node = new StorageNode({
    port: 0,
    local,
    fabric: 'net',
    memoryBytes: 8 * MIB,
    metricsListen: '0',
  });
  try {
    await node.start();
    await work(node);
  } finally {
    await node.stop();
  }
}

async function metric(node: StorageNode, name: string, transport: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${node.metricsPort}/metrics`)).text();
  return Number(new RegExp(`^${name}\\{transport="${transport}"\\} (\\d+)$`, 'm').exec(text)?.[1]);
}

async function loadOver(node: StorageNode, transport: 'local' | 'fabric' | 'tcp', times = 1): Promise<void> {
  const cluster = await Cluster.connect({ nodes: [node.name], transport });
  for (let i = 0; i < times; i++) await loadBytes(cluster, 'image');
  await cluster.close();
}

test('nodes are told what was read one-sidedly, and see for themselves what came over tcp', async () => {
  await withNode(async (node) => {
    const cluster = await Cluster.connect({ nodes: [node.name] });
    const image = randomImage(CHUNKS);
    await cluster.upload(image, { name: 'image' });
    await cluster.close();
    await loadOver(node, 'local', 3);
    await loadOver(node, 'fabric');
    assert.is(await metric(node, 'volley_reads_total', 'local'), 3 * CHUNKS);
    assert.is(await metric(node, 'volley_read_bytes_total', 'local'), 3 * image.length);
    assert.is(await metric(node, 'volley_reads_total', 'fabric'), CHUNKS);
    assert.is(await metric(node, 'volley_read_bytes_total', 'fabric'), image.length);
    const before = await metric(node, 'volley_reads_total', 'tcp');
    await loadOver(node, 'tcp');
    const overTcp = (await metric(node, 'volley_reads_total', 'tcp')) - before;
    // The manifest is read, too.
    assert.ok(overTcp > CHUNKS && overTcp <= CHUNKS + 2, `${overTcp}`);
    assert.ok((await metric(node, 'volley_read_bytes_total', 'tcp')) > image.length);
    assert.is(await figure(node.port, 'reads_local', 'volley'), 3 * CHUNKS);
  });
});

test('a client that lives on tells of its first load at once, and of the others in one line', async () => {
  await withNode(async (node) => {
    const cluster = await Cluster.connect({ nodes: [node.name], transport: 'local' });
    await cluster.upload(randomImage(CHUNKS), { name: 'image' });
    await loadBytes(cluster, 'image');
    await until(() => node.counters.oneSidedReads.figures().reads_local === CHUNKS, 'the first load');
    const { totalConnections } = node.counters;
    for (let i = 0; i < 50; i++) await loadBytes(cluster, 'image');
    await delay(100);
    assert.is(node.counters.totalConnections, totalConnections);
    await cluster.close();
    assert.is(node.counters.oneSidedReads.figures().reads_local, 51 * CHUNKS);
    assert.is(node.counters.totalConnections, totalConnections + 1);
  });
});

test('a node that has gone holds up nobody who wants to tell it', async () => {
  await withNode(async (node) => {
    const cluster = await Cluster.connect({ nodes: [node.name], transport: 'local' });
    await cluster.upload(randomImage(CHUNKS), { name: 'image' });
    for (let i = 0; i < 2; i++) await loadBytes(cluster, 'image');
    await node.stop();
    const startMs = performance.now();
    await cluster.close();
    assert.ok(performance.now() - startMs < 1500);
  });
});

test('what is told is checked', async () => {
  await withNode(async ({ port }) => {
    const client = new RawClient({ host: '127.0.0.1', port });
    const lines = ['reads', 'reads local 1', 'reads tcp 1 1', 'reads local -1 1', 'reads local 1 x'];
    client.send(`${lines.join('\r\n')}\r\nreads local 1 2 noreply\r\nreads fabric 3 4\r\nquit\r\n`);
    const refused = 'CLIENT_ERROR bad command line format\r\n';
    assert.is(await client.answer(), `ERROR\r\nERROR\r\n${refused.repeat(3)}OK\r\n`);
    assert.is(await figure(port, 'read_bytes_local', 'volley'), 2);
    assert.is(await figure(port, 'reads_fabric', 'volley'), 3);
  });
});

test.run();
