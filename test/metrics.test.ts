import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { version } from '../bin/version.js';
import { StorageNode } from '../server/index.js';
import { METRICS } from '../server/metrics/exposition.js';
import { ROOT } from '../src/root.js';
import { RawClient, until } from './support/memcached.js';
import { ask, setItem } from './support/raw-client.js';

const test = suite('metrics');
const MIB = 1024 * 1024;

/** What memcached_exporter reads of `stats`: it fails on what is there and no number, or has to be there and is not. */
const EXPORTER_STATS = [
  ...['get', 'delete', 'incr', 'decr', 'cas', 'touch'].flatMap((name) => [`${name}_hits`, `${name}_misses`]),
  ...['uptime', 'time', 'cas_badval', 'cmd_flush', 'cmd_set', 'bytes', 'limit_maxbytes', 'curr_items'],
  ...['total_items', 'bytes_read', 'bytes_written', 'curr_connections', 'total_connections', 'evictions'],
  ...['rejected_connections', 'store_too_large', 'store_no_memory', 'accepting_conns'],
];
const EXPORTER_SLAB_STATS = [
  ...['get', 'delete', 'incr', 'decr', 'cas', 'touch'].map((name) => `${name}_hits`),
  ...['cas_badval', 'cmd_set', 'chunk_size', 'chunks_per_page', 'total_pages', 'total_chunks'],
  ...['used_chunks', 'free_chunks'],
];

async function withNode(work: (node: StorageNode) => Promise<void>): Promise<void> {
  const node = new StorageNode({ port: 0, local: 'off', memoryBytes: 4 * MIB, metricsListen: '0' });
  await node.start();
  try {
    await work(node);
  } finally {
    await node.stop();
  }
}

const fetchText = async (node: StorageNode, path: string) => {
  const response = await fetch(`http://127.0.0.1:${node.metricsPort}${path}`);
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
};

/** The value of a sample, such as `memcached_commands_total{command="get",status="hit"}`. */
function sampleOf(text: string, sample: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${sample} `));
  assert.ok(line, `${sample} in\n${text}`);
  return Number(line.slice(sample.length + 1));
}

async function statsOf(port: number, topic: string): Promise<Map<string, string>> {
  const text = (await ask(port, `stats ${topic}\r\n`, 'END\r\n')).toString('latin1');
  return new Map([...text.matchAll(/^STAT (\S+) (.*)\r$/gm)].map(([, name, value]) => [name!, value!]));
}

/** Gives commands of each kind: one set, two gets of which one hits, a cas, and so on. */
async function use(port: number): Promise<void> {
  await setItem(port, 'a', Buffer.from('5'));
  const commands = 'get a b\r\nincr a 1\r\ntouch a 0\r\ncas a 0 0 1 1\r\n7\r\nset big 0 0 9999999\r\n';
  const client = new RawClient({ host: '127.0.0.1', port });
  client.send(`${commands}${'x'.repeat(9_999_999)}\r\nversion\r\n`);
  await client.answer(`${version()}\r\n`);
  await client.close();
}

test('what memcached_exporter reads of stats is there, each a number of the right form', async () => {
  await withNode(async ({ port }) => {
    await use(port);
    const general = await statsOf(port, '');
    for (const name of EXPORTER_STATS) assert.match(general.get(name) ?? `no ${name}`, /^\d+$/, name);
    for (const name of ['rusage_user', 'rusage_system'])
      assert.match(general.get(name)!, /^\d+\.\d{6}$/, name);
    assert.ok(general.get('version'));
    assert.match((await statsOf(port, 'settings')).get('maxconns')!, /^\d+$/);
    const slabs = await statsOf(port, 'slabs');
    const classes = new Set([...slabs.keys()].flatMap((name) => /^(\d+):/.exec(name)?.[1] ?? []));
    assert.ok(classes.size >= 1);
    for (const slab of classes) {
      for (const name of EXPORTER_SLAB_STATS) assert.match(slabs.get(`${slab}:${name}`) ?? '', /^\d+$/, name);
    }
    const items = await statsOf(port, 'items');
    assert.ok(items.size > 0);
    for (const [name, value] of items) {
      assert.match(name, /^items:\d+:\w+$/);
      assert.match(value, /^\d+$/, name);
    }
  });
});

test('/metrics tells by memcached_exporter’s names what was done', async () => {
  await withNode(async (node) => {
    await use(node.port);
    const { status, type, text } = await fetchText(node, '/metrics');
    assert.is(status, 200);
    assert.match(type!, /^text\/plain/);
    const command = (name: string, outcome: string) =>
      sampleOf(text, `memcached_commands_total{command="${name}",status="${outcome}"}`);
    assert.is(sampleOf(text, 'memcached_up'), 1);
    assert.is(command('get', 'hit'), 1);
    assert.is(command('get', 'miss'), 1);
    assert.is(command('incr', 'hit'), 1);
    assert.is(command('touch', 'hit'), 1);
    assert.is(command('cas', 'badval'), 1);
    assert.is(sampleOf(text, 'memcached_slab_commands_total{slab="1",command="get",status="hit"}'), 1);
    assert.is(sampleOf(text, 'memcached_slab_commands_total{slab="1",command="cas",status="badval"}'), 1);
    assert.is(sampleOf(text, 'memcached_slab_commands_total{slab="1",command="set",status="hit"}'), 1);
    assert.is(
      sampleOf(text, 'memcached_slab_mem_requested_bytes{slab="1"}'),
      sampleOf(text, 'memcached_current_bytes'),
    );
    assert.is(sampleOf(text, 'memcached_slab_items_outofmemory_total{slab="1"}'), 0);
    assert.is(sampleOf(text, 'memcached_current_items'), 1);
    assert.is(sampleOf(text, 'memcached_limit_bytes'), 4 * MIB);
    assert.is(sampleOf(text, 'memcached_item_too_large_total'), 1);
    assert.is(sampleOf(text, 'volley_table_items'), 1);
    assert.is(sampleOf(text, 'volley_transport_offered{transport="fabric"}'), 0);
    assert.match(text, new RegExp(`volley_info\\{name="127.0.0.1:${node.port}",epoch="${node.epoch}"`));
    // Scraping twice does not count twice.
    const again = (await fetchText(node, '/metrics')).text;
    assert.is(sampleOf(again, 'memcached_commands_total{command="get",status="hit"}'), 1);
  });
});

test('each metric of a node that was used has a value, those of size classes among them', async () => {
  await withNode(async (node) => {
    await use(node.port);
    const { text } = await fetchText(node, '/metrics');
    const names = new Set([...text.matchAll(/^(\w+)(?:\{.*\})? \S+$/gm)].map(([, name]) => name!));
    assert.equal(
      METRICS.filter(({ name }) => !names.has(name)).map(({ name }) => name),
      [],
    );
  });
});

test('stores that find no memory, and bytes in use, are told by size class', async () => {
  await withNode(async (node) => {
    const client = new RawClient({ host: '127.0.0.1', port: node.port });
    for (let i = 0; i < 5; i++) client.send(`set k${i} 0 0 ${MIB}\r\n${'x'.repeat(MIB)}\r\n`);
    client.send('quit\r\n');
    assert.match(await client.answer(), /^(STORED\r\n){4}SERVER_ERROR out of memory/);
    const items = await statsOf(node.port, 'items');
    const [, slab] = [...items.keys()].find((name) => name.endsWith(':number'))!.split(':');
    assert.is(items.get(`items:${slab}:outofmemory`), '1');
    assert.is(items.get(`items:${slab}:mem_requested`), (await statsOf(node.port, '')).get('bytes'));
    await ask(node.port, 'delete k0\r\n', 'DELETED\r\n');
    const left = Number((await statsOf(node.port, 'items')).get(`items:${slab}:mem_requested`));
    assert.is(left, (3 / 4) * Number(items.get(`items:${slab}:mem_requested`)));
  });
});

test('stats tells of memory and of what went unread by memcached’s names', async () => {
  await withNode(async (node) => {
    const free = Number((await statsOf(node.port, '')).get('slab_global_page_pool'));
    await ask(node.port, 'set unread 0 -1 1\r\nx\r\nget unread\r\n', 'END\r\n');
    await setItem(node.port, 'a', Buffer.from('5'));
    const general = await statsOf(node.port, '');
    assert.is(general.get('expired_unfetched'), '1');
    assert.is(Number(general.get('slab_global_page_pool')), free - 1);
    const buckets = Number((await statsOf(node.port, 'volley')).get('bucket_count'));
    assert.is(Number(general.get('hash_bytes')), 128 * buckets);
    const settings = await statsOf(node.port, 'settings');
    assert.equal([settings.get('umask'), settings.get('memory_file')], ['700', '(null)']);
  });
});

test('/health says serving, and 503 while the node drains', async () => {
  await withNode(async (node) => {
    const { status, text } = await fetchText(node, '/health');
    assert.is(status, 200);
    assert.is(JSON.parse(text).status, 'serving');
    const client = new RawClient({ host: '127.0.0.1', port: node.port }).send('set a 0 0 10\r\nhalf');
    await until(() => node.counters.bytesRead > 10, 'the half value');
    const stopped = node.stop();
    const draining = await fetchText(node, '/health');
    assert.is(draining.status, 503);
    assert.is(JSON.parse(draining.text).status, 'draining');
    assert.is(sampleOf((await fetchText(node, '/metrics')).text, 'memcached_accepting_connections'), 0);
    client.send(' whole\r\n');
    assert.is(await client.answer(), 'STORED\r\n');
    await stopped;
  });
});

test('metrics are served on loopback, to readers only, and nowhere unless told', async () => {
  await withNode(async (node) => {
    assert.is((await fetchText(node, '/else')).status, 404);
    const url = `http://127.0.0.1:${node.metricsPort}/metrics`;
    assert.is((await fetch(url, { method: 'POST', body: 'x' })).status, 405);
    await fetch(url.replace('127.0.0.1', '127.0.0.2')).then(
      () => assert.unreachable('it listens beyond 127.0.0.1'),
      () => {},
    );
  });
  const node = new StorageNode({ port: 0, local: 'off', memoryBytes: MIB });
  await node.start();
  assert.is(node.metricsPort, 0);
  await node.stop();
});

test('the dashboard shows every metric, and no other', async () => {
  const dashboard = JSON.parse(readFileSync(join(ROOT, 'docs', 'grafana-dashboard.json'), 'utf8'));
  const expressions: string[] = dashboard.panels.flatMap((panel: { targets?: { expr: string }[] }) =>
    (panel.targets ?? []).map(({ expr }) => expr),
  );
  const shown = new Set(expressions.flatMap((expr) => expr.match(/\b(?:memcached|volley)_\w+/g) ?? []));
  assert.equal([...shown].sort(), METRICS.map(({ name }) => name).sort());
  await withNode(async (node) => {
    await use(node.port);
    const { text } = await fetchText(node, '/metrics');
    const exported = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!);
    assert.equal(exported.sort(), [...shown].sort());
  });
});

test.run();
