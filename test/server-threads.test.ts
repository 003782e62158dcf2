import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { clockFrom } from '../server/clock.js';
import { StorageNode } from '../server/index.js';
import { takeDescriptor } from '../server/threads/descriptor.js';
import type { FromThread } from '../server/threads/messages.js';
import { ReaderThread } from '../server/threads/reader-thread.js';
import { SharedBoard } from '../server/threads/shared-board.js';
import { SharedFlights } from '../server/threads/shared-flights.js';
import { threadCountsMemory } from '../server/threads/thread-counts.js';
import { ThreadFlights } from '../server/threads/thread-flights.js';
import { native } from '../src/native.js';
import { authFile } from './support/auth-file.js';
import { HandClock } from './support/lone-session.js';
import { RawClient, until } from './support/memcached.js';
import { askNode, clientOf, hit, RunningNodes, setting as set } from './support/running-nodes.js';

const test = suite('reader threads of a node');
const MIB = 1024 * 1024;
const ALONE = { port: 0, local: 'off', fabric: 'off', memoryBytes: 4 * MIB };
const { start: started, stop } = new RunningNodes({ memoryBytes: 16 * MIB, threads: 3 });
test.after.each(stop);

/** Asks by a connection that the main thread serves. */
function ask(node: StorageNode, text: string): Promise<string> {
  return askNode(node, `verbosity 0\r\n${text}`);
}

async function stat(node: StorageNode, name: string, topic = ''): Promise<number> {
  return Number(new RegExp(`STAT ${name} (\\d+)`).exec(await ask(node, `stats ${topic}\r\n`))?.[1]);
}

/** Clients that have each sent a command that only reads. */
async function readers(node: StorageNode, count: number): Promise<RawClient[]> {
  const clients = Array.from({ length: count }, () => clientOf(node).send('mn\r\n'));
  for (const client of clients) await client.answer('MN\r\n');
  return clients;
}

const letters = (letter: string) => letter.repeat(MIB);

test('clients are spread over all threads, the main one too, and counted', async () => {
  const node = await started();
  const clients = await readers(node, 12);
  assert.is(await stat(node, 'thread_connections', 'volley'), 8);
  assert.is(await stat(node, 'curr_connections'), 13);
  assert.is(await stat(node, 'threads'), 3);
  for (const client of clients.splice(0, 6)) await client.close();
  await until(() => node.counters.currConnections === 6, 'the node to notice');
  for (const client of clients) await client.close();
});

test('statistics are sums over the threads, from the moment of the answer on', async () => {
  const node = await started({ metricsListen: '127.0.0.1:0' });
  await ask(node, set('a', 'x'.repeat(2000)));
  const clients = await readers(node, 9);
  for (const client of clients) await client.send('get a b\r\nmg a s\r\n').answer('s2000\r\n');
  assert.is(await stat(node, 'cmd_get'), 27);
  assert.is(await stat(node, 'get_hits'), 18);
  assert.is(await stat(node, 'get_misses'), 9);
  assert.is(await stat(node, 'cmd_meta'), 9);
  assert.match(await ask(node, 'stats slabs\r\n'), /STAT \d+:get_hits 18\r\n/);
  assert.ok((await stat(node, 'bytes_written')) > 9 * 2000);
  const metrics = await (await fetch(`http://127.0.0.1:${node.metricsPort}/metrics`)).text();
  assert.match(metrics, /memcached_commands_total\{command="get",status="hit"\} 18/);
  for (const client of clients) await client.send('get a\r\n').answer('END\r\n');
  await ask(node, 'stats reset\r\n');
  assert.is(await stat(node, 'cmd_get'), 0);
  await clients[0]!.send('get b\r\n').answer('END\r\n');
  assert.is(await stat(node, 'cmd_get'), 1);
  for (const client of clients) await client.close();
});

test('a read by a thread counts as use', async () => {
  const node = await started();
  await ask(node, set('a', 'x'));
  const [client] = await readers(node, 1);
  assert.is(await client!.send('mg a h\r\n').answer('\r\n'), 'HD h0\r\n');
  assert.is(await client!.send('mg a h\r\n').answer('\r\n'), 'HD h1\r\n');
  assert.match(await ask(node, 'me a\r\n'), /fetch=yes/);
  assert.is(node.counters.movedConnections, 2, 'only those who asked the main thread moved');
  await client!.close();
});

test('what is expired or flushed is not given out, nor what is deleted', async () => {
  const node = await started();
  const [client] = await readers(node, 1);
  const get = (key: string) => client!.send(`get ${key}\r\n`).answer('END\r\n');
  await ask(node, `${set('a', 'x')}${set('b', 'x')}set c 0 1000 1\r\nx\r\n`);
  assert.is(await get('a'), hit('a', 'x'));
  await ask(node, 'delete a\r\n');
  assert.is(await get('a'), 'END\r\n');
  assert.is(await get('c'), hit('c', 'x'));
  await ask(node, 'flush_all\r\n');
  assert.is(await get('b'), 'END\r\n');
  await ask(node, 'set d 0 -1 1\r\nx\r\n');
  assert.is(await get('d'), 'END\r\n');
  await client!.close();
});

test('gets are counted by prefix when that is wanted, by whomever they came', async () => {
  const node = await started();
  const clients = await readers(node, 6);
  await ask(node, 'stats detail on\r\n');
  for (const client of clients) await client.send('get p:1\r\n').answer('END\r\n');
  assert.match(await ask(node, 'stats detail dump\r\n'), /PREFIX p get 6 hit 0/);
  assert.is(await stat(node, 'thread_connections', 'volley'), 0);
  await ask(node, 'stats detail off\r\n');
  const [another] = await readers(node, 1);
  assert.is(await stat(node, 'thread_connections', 'volley'), 1);
  for (const client of [...clients, another!]) await client.close();
});

test('the connection limit counts those of all threads, and stats conns lists them', async () => {
  const node = await started({ maxConnections: 6 });
  const clients = await readers(node, 5);
  const asking = clientOf(node).send('stats conns\r\n');
  const told = await asking.answer('END\r\n');
  assert.is(told.match(/:state conn_(read|new_cmd|parse_cmd)\r/g)!.length, 6);
  assert.is(told.match(/:addr tcp:127\.0\.0\.1:\d+\r/g)!.length, 7);
  assert.is(await clientOf(node).answer(), 'ERROR Too many open connections\r\n');
  await clients[0]!.close();
  await until(() => node.counters.currConnections === 5, 'the node to notice');
  const late = await readers(node, 1);
  for (const client of [...clients, ...late, asking]) await client.close();
});

test('a connection that moves keeps its commands in order, and its number', async () => {
  const node = await started();
  let asked = '';
  let expected = '';
  for (let i = 0; i < 300; i++) {
    asked += `get k${i % 7}\r\n${i === 150 ? set('k3', letters('z')) : ''}`;
    expected += i > 150 && i % 7 === 3 ? hit('k3', letters('z')) : 'END\r\n';
    if (i === 150) expected += 'STORED\r\n';
  }
  const client = clientOf(node).send(asked);
  assert.ok((await client.send('quit\r\n').answer()) === expected);
  assert.is(node.counters.movedConnections, 1);
});

test('clients of threads that idle, stall or never read are closed', async () => {
  const node = await started({ idleTimeoutMs: 700, stallTimeoutMs: 500 });
  await ask(node, set('a', letters('a')));
  const [idle, stalled, deaf] = await readers(node, 3);
  stalled!.send('get a');
  deaf!.socket.pause();
  deaf!.send('get a\r\n'.repeat(50));
  await until(() => node.counters.shedConnections === 3, 'the clients to be closed');
  assert.is(node.counters.idleKicks, 1);
  for (const client of [idle, stalled, deaf]) await client!.close();
});

test('a node that stops answers what its threads have received, within its deadline', async () => {
  const node = await started({ drainTimeoutMs: 1000 });
  await ask(node, set('a', letters('a')));
  const clients = await readers(node, 6);
  for (const client of clients) client.send('get a\r\n'.repeat(3));
  await delay(50);
  const [deaf] = await readers(node, 1);
  deaf!.socket.pause();
  deaf!.send('get a\r\n'.repeat(50));
  await delay(50);
  const began = performance.now();
  const stopped = node.stop();
  for (const client of clients) assert.ok((await client.answer()) === hit('a', letters('a')).repeat(3));
  await stopped;
  assert.ok(performance.now() - began < 2500);
  await deaf!.close();
});

test('clients that have to authenticate are all served by the main thread', async () => {
  const node = await started({ authFile: authFile(), logLevel: 'silent' });
  assert.is(node.readers, null);
  const client = clientOf(node).send('get a\r\n');
  assert.is(await client.answer('\r\n'), 'CLIENT_ERROR unauthenticated\r\n');
  await client.close();
});

test('a node has one thread unless told otherwise, and 64 at most', async () => {
  const node = await started({ threads: 1 });
  assert.is(node.readers, null);
  assert.throws(() => new StorageNode({ threads: 0 }), /the number of threads \(-t\) is 0/);
  assert.throws(() => new StorageNode({ threads: 65 }), /from 1 to 64/);
});

interface KeptWorker {
  worker: Worker;
  isUp: boolean;
  heartbeat: number;
  options: { board: SharedBoard; setup: { thread: number } };
  check(): void;
}

/** The thread behind a node's pool. */
const workerOf = (node: StorageNode, thread: number) =>
  (node.readers as unknown as { workers: KeptWorker[] }).workers[thread]!;

/** Looks after a thread as if it had given no sign of life since it was looked at last. */
function stopped(worker: KeptWorker): void {
  worker.heartbeat = worker.options.board.heartbeat(worker.options.setup.thread);
  worker.check();
}

test('a thread that ends takes its clients with it and is replaced, and no memory stays held', async () => {
  const node = await started({
    memoryBytes: 10 * MIB,
    quarantineMs: 0,
    stallTimeoutMs: 20_000,
    logLevel: 'silent',
  });
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  await ask(node, keys.map((key) => set(key, letters(key))).join(''));
  const deaf = clientOf(node);
  deaf.socket.pause();
  deaf.send(`get ${keys.join(' ')}\r\n`);
  const others = await readers(node, 2);
  await ask(node, keys.map((key) => `delete ${key}\r\n`).join(''));
  await workerOf(node, 0).worker.terminate();
  await until(() => node.counters.currConnections === 2, 'its clients to be gone');
  assert.is(
    await ask(node, keys.map((key) => set(key, letters('x'))).join('')),
    `OK\r\n${'STORED\r\n'.repeat(8)}`,
  );
  await until(() => workerOf(node, 0).isUp, 'another thread in its place');
  const again = await readers(node, 4);
  assert.is(await again[3]!.send('get i\r\n').answer('END\r\n'), 'END\r\n');
  for (const client of [deaf, ...others, ...again]) await client.close();
});

test('a thread that hangs is ended after ten seconds, also where nothing else is to be done', async () => {
  const clock = new HandClock();
  const node = new StorageNode({ ...ALONE, threads: 2, logLevel: 'silent' }, clock);
  try {
    await node.start();
    const worker = workerOf(node, 0);
    const before = worker.worker;
    // The node's own checks come too, and count nothing while the clock stands still.
    for (let second = 0; second < 9; second++) {
      clock.now++;
      stopped(worker);
    }
    assert.ok(worker.isUp);
    clock.now++;
    stopped(worker);
    await until(() => !worker.isUp, 'the thread to be ended');
    await until(() => worker.isUp, 'another one');
    assert.is.not(worker.worker, before);
  } finally {
    await node.stop();
  }
});

test('a process that stood still as a whole ends none of its threads', async () => {
  const clock = new HandClock();
  const node = new StorageNode({ ...ALONE, threads: 2, logLevel: 'silent' }, clock);
  try {
    await node.start();
    const worker = workerOf(node, 0);
    for (let i = 0; i < 4; i++) {
      clock.now += 3600;
      stopped(worker);
    }
    await delay(20);
    assert.ok(worker.isUp);
  } finally {
    await node.stop();
  }
});

test('a message about a client that is not known is logged, and nothing else', async () => {
  const node = await started({ threads: 2, logLevel: 'silent' });
  const [client] = await readers(node, 1);
  const given = openSync('/dev/null', 'r');
  const pool = node.readers as unknown as { take(thread: number, event: FromThread): void };
  pool.take(0, { event: 'closed', id: 12_345, reason: null });
  pool.take(0, { event: 'moved', id: 12_345, descriptor: given, unread: Buffer.from('get a\r\n') });
  assert.throws(() => closeSync(given), /EBADF/);
  assert.is(await stat(node, 'curr_connections'), 2);
  await client!.close();
});

test('the late close of a client that was given away is not the next one of the same place', async () => {
  const told: FromThread[] = [];
  const region = new (native().Region)({ arenaBytes: 4 * 1_054_720, tableItems: 1024, hugepages: false });
  const setup = {
    thread: 0,
    threads: 1,
    region: region.lend(),
    connectionsMax: 1,
    board: new SharedBoard(1, 1).memory,
    counts: threadCountsMemory(),
    version: 'test',
    idleTimeoutMs: 0,
    stallTimeoutMs: 30_000,
    busyWaitUs: 0,
    clockBase: clockFrom().base,
  };
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const connected = async () => {
    const { port } = server.address() as { port: number };
    const client = new RawClient({ host: '127.0.0.1', port });
    const [socket] = await once(server, 'connection');
    return { client, descriptor: takeDescriptor(socket) };
  };
  const [first, second] = [await connected(), await connected()];
  const thread = new ReaderThread(setup, (event) => {
    told.push(event);
    // The main thread may give the place away before the first client's socket has closed here.
    if (event.event === 'moved') {
      thread.handle({ does: 'serve', id: 2, index: 0, descriptor: second.descriptor });
    }
  });
  thread.handle({ does: 'serve', id: 1, index: 0, descriptor: first.descriptor });
  first.client.send('set a 0 0 1\r\nx\r\n');
  assert.is(await second.client.send('mn\r\n').answer('\r\n'), 'MN\r\n');
  await delay(20);
  assert.equal(
    told.map(({ event }) => event),
    ['moved'],
  );
  await second.client.close();
  await until(() => told.length === 2, 'the end of the second client');
  assert.equal(told[1], { event: 'closed', id: 2, reason: null });
  const { descriptor } = told[0] as { descriptor: number };
  closeSync(descriptor);
  await first.client.close();
  server.close();
  region.close();
});

test('the oldest generation that any thread has announced counts, also beyond 32 bits', () => {
  const board = new SharedBoard(2, 1);
  const flights = new SharedFlights(board, 2);
  const [first, second] = [new ThreadFlights(board, 0), new ThreadFlights(board, 1)];
  assert.is(flights.oldest, Number.POSITIVE_INFINITY);
  for (const start of [flights.generation, 2 ** 31 - 2, 2 ** 32 - 2, 2 ** 40 - 1]) {
    flights.advance(start + 1);
    const entered = flights.generation;
    first.enter();
    assert.is(flights.oldest, entered);
    flights.advance();
    flights.advance();
    second.enter();
    const write = second.begin();
    second.leave();
    first.leave();
    assert.is(flights.oldest, flights.generation);
    flights.advance();
    second.enter();
    second.leave();
    assert.ok(flights.oldest < flights.generation, 'the write is still under way');
    second.end(write);
    assert.is(flights.oldest, Number.POSITIVE_INFINITY);
  }
});

test.run();
