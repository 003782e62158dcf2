import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { version } from '../bin/version.js';
import type { StorageNode } from '../server/index.js';
import { RawClient, until } from './support/memcached.js';
import { askNode as ask, clientOf, hit, RunningNodes, setting as set } from './support/running-nodes.js';

const test = suite('flow between a node and its clients');
const MIB = 1024 * 1024;
const { start: started, stop } = new RunningNodes({ memoryBytes: 16 * MIB });
test.after.each(stop);

async function stat(node: StorageNode, name: string): Promise<number> {
  return Number(new RegExp(`STAT ${name} (\\d+)`).exec(await ask(node, 'stats\r\n'))?.[1]);
}

const letters = (letter: string) => letter.repeat(MIB);

test('pipelined commands are answered in order', async () => {
  const node = await started();
  let asked = '';
  let expected = '';
  for (let i = 0; i < 2000; i++) {
    const value = `${i}-`.repeat(1 + (i % 700));
    asked += `${set(`k${i % 50}`, value)}get k${i % 50}\r\n`;
    expected += `STORED\r\n${hit(`k${i % 50}`, value)}`;
  }
  assert.ok((await ask(node, asked)) === expected);
});

test('a client that does not read is not read from, and gets all its answers when it reads', async () => {
  const node = await started();
  await ask(node, set('a', letters('a')));
  const slow = clientOf(node);
  slow.socket.pause();
  const gets = 200;
  slow.send(`${'get a\r\n'.repeat(gets)}`);
  await delay(200);
  assert.ok((await stat(node, 'cmd_get')) < 50, 'the node stopped taking its commands');
  assert.is(await ask(node, 'get b\r\n'), 'END\r\n', 'others are served');
  slow.socket.resume();
  slow.send('quit\r\n');
  const answer = await slow.answer();
  assert.is(answer.length, gets * hit('a', letters('a')).length);
  assert.ok(answer.startsWith(hit('a', letters('a'))));
});

test('bytes on their way to a client are not overwritten by what is stored after them', async () => {
  const node = await started({ memoryBytes: 12 * MIB, quarantineMs: 0 });
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  await ask(node, keys.map((key) => set(key, letters(key))).join(''));
  const slow = clientOf(node);
  slow.socket.pause();
  slow.send(`get ${keys.join(' ')}\r\n`);
  await until(() => slow.socket.bytesWritten > 0, 'the request to be sent');
  await delay(100);
  await ask(node, keys.map((key) => `delete ${key}\r\n`).join(''));
  // More than the free memory: these want the slots that are on their way.
  const others = clientOf(node);
  for (let i = 0; i < 12; i++) others.send(set(`other${i}`, letters('#')));
  await delay(150);
  slow.socket.resume();
  const expected = keys.map((key) => hit(key, letters(key)).slice(0, -5)).join('');
  assert.ok((await slow.answer('END\r\n')) === `${expected}END\r\n`);
  const stored = await others.send('quit\r\n').answer();
  assert.is(stored, 'STORED\r\n'.repeat(12), 'they were stored when the slots were free');
});

test('a client that never reads is closed after its deadline, and its slots are free again', async () => {
  const node = await started({ memoryBytes: 10 * MIB, quarantineMs: 0, stallTimeoutMs: 500 });
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  await ask(node, keys.map((key) => set(key, letters(key))).join(''));
  const stuck = clientOf(node);
  stuck.socket.pause();
  stuck.send(`get ${keys.join(' ')}\r\n`);
  await delay(100);
  await ask(node, keys.map((key) => `delete ${key}\r\n`).join(''));
  await until(() => node.counters.shedConnections === 1, 'the client to be closed');
  assert.is(await ask(node, keys.map((key) => set(key, letters('x'))).join('')), 'STORED\r\n'.repeat(8));
  await stuck.close();
});

test('a client that does not read is closed in seconds while others want the memory that it holds up', async () => {
  const node = await started({ memoryBytes: 10 * MIB, quarantineMs: 0, stallTimeoutMs: 60_000 });
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  await ask(node, keys.map((key) => set(key, letters(key))).join(''));
  const stuck = clientOf(node);
  stuck.socket.pause();
  stuck.send(`get ${keys.join(' ')}\r\n`);
  await until(() => node.counters.cmdGet > 0, 'the gets');
  await ask(node, keys.map((key) => `delete ${key}\r\n`).join(''));
  // Nobody wants memory yet: it may read as slowly as its timeout allows.
  await delay(2300);
  assert.is(node.counters.shedConnections, 0);
  const others = clientOf(node);
  others.send(keys.map((key) => set(key, letters('x'))).join('')).send('quit\r\n');
  assert.is(await others.answer(), 'STORED\r\n'.repeat(8));
  assert.is(node.counters.shedConnections, 1);
  await stuck.close();
});

test('a client that stops in the middle of a value is closed after its deadline', async () => {
  const node = await started({ stallTimeoutMs: 300 });
  const stuck = clientOf(node).send('set a 0 0 1000000\r\nabc');
  const idle = clientOf(node).send('version\r\n');
  await idle.answer('\r\n');
  assert.is(await stuck.answer(), '');
  assert.not.ok(idle.closed, 'a client that has said all it began may idle');
  assert.is(await ask(node, 'get a\r\n'), 'END\r\n');
  assert.is(await stat(node, 'curr_items'), 0);
});

test('an idle client is closed where there is an idle timeout', async () => {
  const node = await started({ idleTimeoutMs: 300 });
  const idle = clientOf(node).send('version\r\n');
  await idle.answer('\r\n');
  assert.is(await idle.answer(), '');
});

/** What timer each of a node's connections has in the system, by proc(5) and the kernel's proc_net_tcp: 2 is keepalive's. */
function timersOf(node: StorageNode): string[] {
  const here = `:${node.port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/net/tcp', 'latin1').split('\n');
  const connections = rows.map((row) => row.trim().split(/\s+/)).filter(([, local]) => local?.endsWith(here));
  return connections.filter(([, , , state]) => state === '01').map(([, , , , , timer]) => timer!.slice(0, 2));
}

for (const threads of [1, 3]) {
  test(`with ${threads} threads the system looks whether the hosts of silent clients are still there`, async () => {
    const node = await started({ threads });
    const clients = Array.from({ length: 4 }, () => clientOf(node).send('mn\r\n'));
    for (const client of clients) await client.answer('MN\r\n');
    await until(() => timersOf(node).every((timer) => timer === '02'), 'the timers of keepalive');
    assert.is(timersOf(node).length, clients.length);
    for (const client of clients) await client.close();
  });
}

test('a client that vanishes in the middle of a value leaves no trace', async () => {
  const node = await started({ memoryBytes: 2 * MIB, quarantineMs: 0 });
  for (let i = 0; i < 10; i++) {
    const client = clientOf(node).send(`set a 0 0 ${MIB}\r\n${'x'.repeat(100_000)}`);
    await until(() => client.socket.bytesWritten > 100_000, 'the bytes to be sent');
    await client.close();
  }
  await until(() => node.counters.currConnections === 0, 'the connections to be closed');
  assert.is(await ask(node, set('a', letters('a')) + set('b', letters('b'))), 'STORED\r\nSTORED\r\n');
});

test('a store that waits for memory is forgotten when its client vanishes', async () => {
  const node = await started({ memoryBytes: MIB, quarantineMs: 300 });
  await ask(node, `${set('a', letters('a'))}delete a\r\n`);
  const gone = clientOf(node).send(`set gone 0 0 ${MIB}\r\n${'g'.repeat(1000)}`);
  await delay(50);
  await gone.close();
  await until(() => node.counters.currConnections === 0, 'the connection to be closed');
  assert.is(await ask(node, set('b', letters('b'))), 'STORED\r\n');
  assert.is(await ask(node, 'get gone\r\n'), 'END\r\n');
});

test('a metadump waits for its reader and does not hold others up', async () => {
  const node = await started();
  const count = 20_000;
  let stores = '';
  for (let i = 0; i < count; i++) stores += `set ${'k'.repeat(200)}${i} 0 0 1 noreply\r\nx\r\n`;
  await ask(node, stores);
  const slow = clientOf(node);
  slow.socket.pause();
  slow.send('lru_crawler metadump all\r\nversion\r\n');
  await delay(100);
  assert.is(await ask(node, 'get b\r\n'), 'END\r\n');
  slow.socket.resume();
  const answer = await slow.answer(`${version()}\r\n`);
  assert.is(answer.match(/^key=/gm)?.length, count);
  await slow.close();
});

test('a node that stops answers what it has received, and lets a value that has begun be finished', async () => {
  const node = await started();
  const value = 'v'.repeat(300_000);
  const busy = clientOf(node).send('set before 0 0 1\r\nx\r\nset a 0 0 300000\r\n');
  busy.send(value.slice(0, 100_000));
  const idle = clientOf(node).send('version\r\n');
  await idle.answer('\r\n');
  await busy.answer('STORED\r\n');
  const { port } = node;
  const stopping = node.stop();
  await delay(100);
  busy.send(`${value.slice(100_000)}\r\n`);
  assert.is(await busy.answer(), 'STORED\r\n');
  assert.is(await idle.answer(), '');
  await stopping;
  const late = new RawClient({ host: '127.0.0.1', port });
  assert.is(await late.answer(), '', 'nobody listens any more');
});

test('a node that stops does not wait for ever for a client', async () => {
  const node = await started({ drainTimeoutMs: 300 });
  const stuck = clientOf(node).send('set a 0 0 1000000\r\nabc');
  await delay(50);
  const begunMs = performance.now();
  await node.stop();
  const tookMs = performance.now() - begunMs;
  assert.ok(tookMs >= 250 && tookMs < 2000, `${tookMs} ms`);
  assert.is(await stuck.answer(), '');
});

test.run();
