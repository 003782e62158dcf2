import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StorageNode } from '../server/index.js';
import type { NodeOptions } from '../server/options.js';
import { native } from '../src/native.js';
import { until } from './support/memcached.js';
import { askNode as ask, clientOf, RunningNodes } from './support/running-nodes.js';

const test = suite('storage node');
const MIB = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), 'volley-node-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

const { start: started, stop } = new RunningNodes({ memoryBytes: 4 * MIB });
test.after.each(stop);

function parsed(stats: string): Map<string, string> {
  const lines = stats.split('\r\n').filter((line) => line.startsWith('STAT '));
  return new Map(
    lines.map((line) => {
      const [, name, ...words] = line.split(' ');
      return [name!, words.join(' ')];
    }),
  );
}

test('stats looks like that of memcached', async () => {
  const node = await started();
  await ask(node, 'set a 0 0 5\r\nhello\r\nget a b\r\nincr a 1\r\ndelete b\r\n');
  const stats = parsed(await ask(node, 'stats\r\n'));
  const has = (name: string, value: string | RegExp) =>
    assert.match(
      stats.get(name) ?? 'missing',
      typeof value === 'string' ? new RegExp(`^${value}$`) : value,
      name,
    );
  has('pid', String(process.pid));
  has('uptime', /^\d+$/);
  has('time', /^\d{10}$/);
  has('version', /^1\.6\.0-volley-/);
  has('pointer_size', '64');
  has('rusage_user', /^\d+\.\d{6}$/);
  has('rusage_system', /^\d+\.\d{6}$/);
  has('curr_connections', '1');
  has('total_connections', '2');
  has('cmd_get', '2');
  has('cmd_set', '1');
  has('get_hits', '1');
  has('get_misses', '1');
  has('delete_misses', '1');
  has('curr_items', '1');
  has('bytes', '135');
  has('limit_maxbytes', String(4 * MIB));
  has('evictions', '0');
  assert.match(await ask(node, 'stats settings\r\n'), /STAT item_size_max 1048576\r\n/);
  assert.match(await ask(node, 'stats slabs\r\n'), /STAT 1:used_chunks 1\r\n[\s\S]*STAT active_slabs 1\r\n/);
  assert.match(await ask(node, 'stats items\r\n'), /^STAT items:1:number 1\r\nSTAT items:1:evicted 0\r\n/);
  assert.is(await ask(node, 'stats reset\r\n'), 'RESET\r\n');
  assert.is(parsed(await ask(node, 'stats\r\n')).get('cmd_get'), '0');
});

test('stats volley tells all that a client needs, and the local socket hands out that region', async () => {
  const local = join(folder, 'region.sock');
  const node = await started({ local, name: 'alpha' });
  await ask(node, 'set a 0 0 5\r\nhello\r\n');
  const stats = parsed(await ask(node, 'stats volley\r\n'));
  assert.is(stats.get('layout_version'), '2');
  assert.is(stats.get('name'), 'alpha');
  assert.is(stats.get('pid'), String(process.pid));
  assert.is(stats.get('boot_id'), readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim());
  assert.is(stats.get('transports'), 'local,tcp');
  assert.is(stats.get('local_path'), local);
  assert.is(stats.get('table_items'), '1');
  assert.is(stats.get('table_entries'), String(4 * Number(stats.get('bucket_count'))));
  assert.is(statSync(local).mode & 0o777, 0o600);
  const region = await native().openLocalRegion(local, 1000);
  try {
    assert.is(stats.get('epoch'), region.info.epoch.toString(16).padStart(16, '0'));
    assert.is(stats.get('region_bytes'), String(region.info.bytes));
    assert.is(stats.get('table_offset'), String(region.info.tableOffset));
    assert.is(stats.get('bucket_count'), String(region.info.bucketCount));
    assert.is(stats.get('arena_offset'), String(region.info.arenaOffset));
    assert.is(stats.get('arena_bytes'), String(region.info.arenaBytes));
    assert.is(stats.get('arena_page_bytes'), '1054720');
    assert.is(stats.get('backing_page_bytes'), String(region.info.backingPageBytes));
  } finally {
    region.close();
  }
  await node.stop();
  assert.not.ok(existsSync(local), 'the socket is removed at stop');
});

test('a dead socket is replaced, a live one and other files are not', async () => {
  const local = join(folder, 'contested.sock');
  // A listener that is closed by the kernel, not by Node, leaves its file behind.
  const dead = createServer().listen(local);
  await until(() => dead.listening, 'the listener');
  writeFileSync(join(folder, 'keep'), '');
  const { renameSync } = await import('node:fs');
  renameSync(local, join(folder, 'moved.sock'));
  await new Promise((resolve) => dead.close(resolve));
  renameSync(join(folder, 'moved.sock'), local);

  const node = await started({ local });
  assert.is(node.localPath, local);
  const second = new StorageNode({ port: 0, local, memoryBytes: MIB });
  const error = await second.start().then(
    () => assert.unreachable('two nodes have one socket'),
    (reason) => reason,
  );
  assert.is(error.code, 'ERR_VOLLEY_FILE');
  assert.match(error.message, /belongs to a node that is running; give another path with --local/);
  const region = await native().openLocalRegion(local, 1000);
  assert.is(region.info.epoch.toString(16).padStart(16, '0'), node.epoch, 'the first still has it');
  region.close();

  const third = new StorageNode({ port: 0, local: join(folder, 'keep'), memoryBytes: MIB });
  const refusal = await third.start().catch((reason) => reason);
  assert.match(refusal.message, /is there and is no socket/);
  assert.ok(existsSync(join(folder, 'keep')));
});

test('a connection beyond the limit is told so, and others go on', async () => {
  const node = await started({ maxConnections: 2 });
  const first = clientOf(node).send('version\r\n');
  await first.answer('\r\n');
  const second = clientOf(node).send('version\r\n');
  await second.answer('\r\n');
  assert.is(await clientOf(node).answer(), 'ERROR Too many open connections\r\n');
  assert.match(await first.send('stats\r\n').answer('END\r\n'), /STAT rejected_connections 1\r\n/);
  await second.close();
  await delay(20);
  assert.match(await ask(node, 'version\r\n'), /^VERSION /);
});

test('a full node refuses, keeps all it has, and takes more when some was deleted', async () => {
  const node = await started({ memoryBytes: 2 * MIB, quarantineMs: 100 });
  const chunk = 'c'.repeat(32_768);
  const set = (i: number) => `set k${i} 0 0 32768\r\n${chunk}\r\n`;
  const all = Array.from({ length: 64 }, (_, i) => i);
  assert.is(await ask(node, all.map(set).join('')), 'STORED\r\n'.repeat(64));
  const full = 'SERVER_ERROR out of memory storing object\r\n';
  assert.is(await ask(node, `${set(64)}${set(65)}get k64\r\n`), `${full}${full}END\r\n`);
  const got = await ask(node, `get ${all.map((i) => `k${i}`).join(' ')}\r\n`);
  assert.is(got.match(/^VALUE /gm)?.length, 64);
  const begunMs = performance.now();
  assert.is(
    await ask(node, `delete k3\r\n${set(64)}get k64 k3\r\n`),
    `DELETED\r\nSTORED\r\nVALUE k64 0 32768\r\n${chunk}\r\nEND\r\n`,
  );
  assert.ok(performance.now() - begunMs >= 100, 'the store waited until the freed slot had rested');
  assert.is(await ask(node, set(66)), full);
});

test('as in memcached, a set that fails takes the old item away', async () => {
  const node = await started({ memoryBytes: 2 * MIB });
  const big = (key: string, bytes: number) => `set ${key} 0 0 ${bytes}\r\n${'b'.repeat(bytes)}\r\n`;
  assert.is(await ask(node, big('a', MIB) + big('b', MIB)), 'STORED\r\nSTORED\r\n');
  const tooLarge = 'SERVER_ERROR object too large for cache\r\n';
  assert.is(await ask(node, `${big('a', MIB + 1)}get a\r\n`), `${tooLarge}END\r\n`);
});

test('expired items make room', async () => {
  const node = await started({ memoryBytes: 2 * MIB, quarantineMs: 0 });
  const chunk = 'c'.repeat(32_768);
  const stores = Array.from({ length: 64 }, (_, i) => `set k${i} 0 1 32768\r\n${chunk}\r\n`);
  await ask(node, stores.join(''));
  await delay(2100);
  assert.is(await ask(node, `set new 0 0 32768\r\n${chunk}\r\n`), 'STORED\r\n');
});

test('a metadump tells of every item, in memcached’s words', async () => {
  const node = await started({ memoryBytes: 8 * MIB });
  const count = 3000;
  const stores = Array.from({ length: count }, (_, i) => `set key:${i}/ä 0 0 1\r\nx\r\n`);
  await ask(node, `${stores.join('')}set gone 0 -1 1\r\nx\r\nset late 5 1000 1\r\nx\r\n`);
  const dump = await ask(node, 'lru_crawler metadump all\r\nversion\r\n');
  const lines = dump.split('\n');
  assert.match(lines.at(-2)!, /^VERSION /, 'commands after it are answered');
  assert.is(lines.at(-3), 'END\r');
  const items = lines.slice(0, -3);
  assert.is(items.length, count + 1);
  const form = /^key=(\S+) exp=(-1|\d{10}) la=\d{10} cas=\d+ fetch=no cls=\d+ size=\d+$/;
  const keys = new Set(items.map((line) => form.exec(line)?.[1]));
  assert.is(keys.size, count + 1);
  assert.ok(keys.has('key%3A2999%2F%E4'));
  assert.match(items.find((line) => line.startsWith('key=late '))!, /exp=\d{10} /);
});

test('a node that cannot have its port says so and leaves nothing behind', async () => {
  const node = await started();
  const local = join(folder, 'unused.sock');
  const second = new StorageNode({ port: node.port, local, memoryBytes: MIB });
  const error = await second.start().catch((reason) => reason);
  assert.is(error.code, 'ERR_VOLLEY_ADDRESS');
  assert.match(
    error.message,
    /^cannot listen on 127\.0\.0\.1:\d+: something listens there already; give another port with -p$/,
  );
  assert.not.ok(existsSync(local));
});

test('options out of bounds are refused', () => {
  const wrong: Partial<NodeOptions>[] = [
    { port: 65536 },
    { port: 1.5 },
    { memoryBytes: 1000 },
    { memoryBytes: Number.NaN },
    { itemSizeMax: MIB + 1 },
    { maxConnections: 0 },
    { address: 'localhost' },
    { quarantineMs: -1 },
    { name: 'a\nb' },
  ];
  for (const options of wrong) {
    assert.throws(
      () => new StorageNode(options),
      (error: { code?: string }) => error.code === 'ERR_VOLLEY_USAGE',
      JSON.stringify(options),
    );
  }
});

test.run();
