import { rmSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster } from '../client/index.js';
import { clockFrom } from '../server/clock.js';
import { commit } from '../server/commit.js';
import { StorageNode } from '../server/index.js';
import type { NodeOptions } from '../server/options.js';
import { randomImage } from './support/images.js';
import { HandClock, LoneStore } from './support/lone-session.js';
import { until } from './support/memcached.js';
import { askNode, clientOf, hit, setting } from './support/running-nodes.js';

const test = suite('a wall clock that is set while a node runs');
const MIB = 1024 * 1024;
const HOUR = 3600;
const MONTH = 30 * 24 * HOUR;
const CHUNK = 'c'.repeat(32_768);
const file = `/dev/shm/volley-clock-${process.pid}`;
const running = new Set<StorageNode>();

async function started(clock: HandClock, options: Partial<NodeOptions> = {}): Promise<StorageNode> {
  const base = { port: 0, local: 'off', fabric: 'off', memoryBytes: 4 * MIB, quarantineMs: 0 };
  const node = new StorageNode({ ...base, ...options }, clock);
  running.add(node);
  await node.start();
  return node;
}

test.after.each(async () => {
  for (const node of running) await node.stop();
  running.clear();
  rmSync(file, { force: true });
});

/** Stores a key without a value that lives so long. */
function put({ store }: LoneStore, key: string, exptime: number): void {
  const bytes = Buffer.from(key);
  assert.is(commit(store, store.reserve(bytes, 0, bytes.length, 0, exptime, 0), 'set', 0n), 'stored');
}

const has = ({ store }: LoneStore, key: string) => store.findOne(Buffer.from(key), 0, key.length) >= 0;

test('lifetimes go by the node\u2019s time and dates by the wall clock, whichever way that is set', () => {
  for (const step of [HOUR, -HOUR]) {
    const lone = new LoneStore();
    const { clock } = lone;
    put(lone, 'lifetime', 100);
    put(lone, 'long', MONTH);
    put(lone, 'date', clock.now + 2 * HOUR);
    clock.wallAhead = step;
    assert.ok(has(lone, 'lifetime'));
    assert.is(lone.store.secondsLeft(lone.store.findOne(Buffer.from('date'), 0, 4)), 2 * HOUR - step);
    put(lone, 'later', clock.wallSeconds() + 50);
    clock.now += 49;
    assert.ok(has(lone, 'lifetime') && has(lone, 'later'));
    clock.now += 1;
    assert.not(has(lone, 'later'));
    clock.now += 50;
    assert.not(has(lone, 'lifetime'));
    clock.now = 1_700_000_000 + 2 * HOUR - step - 1;
    assert.ok(has(lone, 'date'));
    clock.now += 1;
    assert.not(has(lone, 'date'), 'at its date');
    assert.ok(has(lone, 'long'));
  }
});

test('an item takes its date with it when it is appended to, and loses it when it gets a lifetime', () => {
  const lone = new LoneStore();
  const { clock, store } = lone;
  put(lone, 'a', clock.now + HOUR);
  const joined = Buffer.from('a');
  commit(store, store.reserve(joined, 0, 1, 0, 0, 0), 'append', 0n);
  clock.wallAhead = 100;
  assert.is(store.secondsLeft(store.findOne(joined, 0, 1)), HOUR - 100);
  store.touch(store.findOne(joined, 0, 1), 60);
  assert.is(store.secondsLeft(store.findOne(joined, 0, 1)), 60);
});

test('a full node takes the memory of what has expired, also when the wall clock went back', async () => {
  const clock = new HandClock();
  const node = await started(clock, { memoryBytes: 2 * MIB });
  const stores = Array.from({ length: 64 }, (_, i) => `set k${i} 0 0 32768\r\n${CHUNK}\r\ntouch k${i} 2\r\n`);
  assert.is(await askNode(node, stores.join('')), 'STORED\r\nTOUCHED\r\n'.repeat(64));
  clock.wallAhead = -HOUR;
  const waiting = clientOf(node).send(`${setting('new', CHUNK)}quit\r\n`);
  const ticking = setInterval(() => {
    clock.now += 0.05;
  }, 50);
  try {
    assert.is(await waiting.answer(), 'STORED\r\n');
  } finally {
    clearInterval(ticking);
  }
});

test('uptime, time and delayed flushes go on when the wall clock is set', async () => {
  const clock = new HandClock();
  const node = await started(clock);
  const figure = async (name: string) =>
    Number(new RegExp(`STAT ${name} (\\d+)`).exec(await askNode(node, 'stats\r\n'))?.[1]);
  clock.now += 100;
  assert.is(await askNode(node, `${setting('a', 'x')}flush_all 10\r\n`), 'STORED\r\nOK\r\n');
  for (const step of [-HOUR, HOUR]) {
    clock.wallAhead = step;
    assert.is(await figure('uptime'), 100);
    assert.is(await figure('time'), clock.now);
    assert.is(await askNode(node, 'get a\r\n'), hit('a', 'x'));
  }
  clock.wallAhead = -HOUR;
  clock.now += 10;
  await until(() => node.counters.currConnections === 0, 'the clients to be gone');
  const gone = async () => (await askNode(node, 'get a\r\n')) === 'END\r\n';
  for (let i = 0; i < 200 && !(await gone()); i++) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(await gone(), 'flushed ten seconds later');
});

test('a region file\u2019s items keep their lifetimes, though the clock of the node before had been set', async () => {
  const before = new HandClock();
  const first = await started(before, { region: file });
  before.wallAhead = -HOUR;
  const date = before.wallSeconds() + 500;
  await askNode(first, `set a 0 100 1\r\nx\r\nset b 0 ${date} 1\r\nx\r\nset c 0 0 1\r\nx\r\n`);
  await first.stop();
  const after = new HandClock();
  after.now -= HOUR;
  const second = await started(after, { region: file });
  assert.is(await askNode(second, 'mg a t\r\nmg b t\r\nmg c t\r\n'), 'HD t100\r\nHD t500\r\nHD t-1\r\n');
  assert.is(await askNode(second, 'mg c h l\r\n'), 'HD h1 l0\r\n');
});

test('the clock of a thread is the node\u2019s', () => {
  const clock = clockFrom();
  const real = Date.now;
  try {
    const { now } = Date;
    Date.now = () => now() + 1000 * HOUR;
    const another = clockFrom(clock.base);
    assert.ok(Math.abs(another.seconds() - clock.seconds()) <= 1);
    assert.ok(Math.abs(clock.seconds() + HOUR - clock.wallSeconds()) <= 1);
  } finally {
    Date.now = real;
  }
});

test('uploads, loads and removals go on while the wall clock jumps to and fro', async () => {
  const real = Date.now;
  let calls = 0;
  const clock = clockFrom();
  Date.now = () => real() + (++calls % 2 === 0 ? 1000 : -1000) * HOUR;
  try {
    const node = new StorageNode({ port: 0, local: 'off', fabric: 'off', memoryBytes: 4 * MIB }, clock);
    running.add(node);
    await node.start();
    const cluster = await Cluster.connect({ nodes: [node.place] });
    try {
      const image = randomImage(20);
      await cluster.upload(image, { name: 'image' });
      await cluster.upload(randomImage(3), { name: 'other' });
      assert.is((await cluster.remove('image')).removedChunks, 20);
      await until(() => node.counters.currConnections <= 2, 'the removal to end');
      const left = async () => Number(/STAT curr_items (\d+)/.exec(await askNode(node, 'stats\r\n'))?.[1]);
      for (let i = 0; i < 400 && (await left()) > 4; i++)
        await new Promise((resolve) => setTimeout(resolve, 20));
      assert.is(await left(), 4, 'the other image stays');
    } finally {
      await cluster.close();
    }
  } finally {
    Date.now = real;
  }
});

test.run();
