// 200 clients with full windows against one node over a fabric, and more clients than a node allows.
//
//   VOLLEY_OVERLOAD_SECONDS=60     how long (8)
//   VOLLEY_OVERLOAD_CLIENTS=200    how many clients (200; over verbs 40)

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../src/root.js';
import { PROVIDER, startFabricNode } from './support/fabric.js';
import { type HeldResources, heldBy } from './support/held-resources.js';
import { type LoadCounts, type LoadingOptions, loadingImage } from './support/loading-clients.js';
import { type TestNode, withCluster, withNodes } from './support/nodes.js';
import { TestProcess } from './support/processes.js';
import { ask } from './support/raw-client.js';

const SECONDS = Number(process.env.VOLLEY_OVERLOAD_SECONDS ?? 8);
const CLIENTS = Number(process.env.VOLLEY_OVERLOAD_CLIENTS ?? (PROVIDER === 'verbs' ? 40 : 200));
const PROCESSES = 4;
const CHUNKS = 64;
const ANSWER_MS_MAX = 5000;
/** How much more of its own memory a node may hold after the overload: what its allocators keep. */
const GROWTH_BYTES_MAX = 48 << 20;

const test = suite(`fabric overload over ${PROVIDER}`);

async function runClients(options: LoadingOptions): Promise<LoadCounts> {
  const script = join(ROOT, 'dist/test/support/loading-clients.js');
  const clients = new TestProcess(process.execPath, [
    '--enable-source-maps',
    script,
    JSON.stringify(options),
  ]);
  const over = new Promise((resolve) => clients.child.once('close', resolve));
  const limit = setTimeout(() => clients.signal('SIGKILL'), (options.seconds + 60) * 1000);
  await over;
  clearTimeout(limit);
  assert.is(clients.child.exitCode, 0, clients.stderr);
  return JSON.parse(clients.stdout) as LoadCounts;
}

function sum(counts: readonly LoadCounts[]): LoadCounts {
  const total: LoadCounts = { whole: 0, wrong: 0, fallbackChunks: 0, failures: {} };
  for (const { whole, wrong, fallbackChunks, failures } of counts) {
    total.whole += whole;
    total.wrong += wrong;
    total.fallbackChunks += fallbackChunks;
    for (const [text, times] of Object.entries(failures))
      total.failures[text] = (total.failures[text] ?? 0) + times;
  }
  return total;
}

/** Asks the node small things over a connection each, one after the other, until the work is over. */
async function answersDuring(node: TestNode, work: Promise<unknown>): Promise<number[]> {
  let isOver = false;
  const over = work.finally(() => {
    isOver = true;
  });
  over.catch(() => {});
  const answersMs: number[] = [];
  while (!isOver) {
    const startMs = performance.now();
    await ask(node.port, 'set small 0 0 5\r\nhello\r\n', 'STORED\r\n');
    await ask(node.port, 'get small\r\n', 'hello\r\nEND\r\n');
    answersMs.push(performance.now() - startMs);
    await sleep(50);
  }
  return answersMs.sort((a, b) => a - b);
}

/** What the node holds once its clients are gone. */
async function heldAtRest(node: TestNode): Promise<HeldResources> {
  const connections = async () => {
    const answer = await ask(node.port, 'stats volley\r\n', 'END\r\n');
    return Number(/STAT fabric_connections (\d+)/.exec(answer.toString('latin1'))![1]);
  };
  for (let tries = 0; tries < 100 && (await connections()) > 0; tries++) await sleep(50);
  assert.is(await connections(), 0);
  await sleep(200);
  return heldBy(node.process.pid);
}

async function withImage(node: TestNode, chunks: number): Promise<void> {
  await withCluster([node], (cluster) =>
    cluster.upload(loadingImage(chunks), { name: 'image' }).then(() => {}),
  );
}

test(`${CLIENTS} clients against one node for ${SECONDS} s: all loads end well, and the node is as it was`, async () => {
  await withNodes([startFabricNode], async (node) => {
    await withImage(node!, CHUNKS);
    const before = await heldAtRest(node!);
    const share = { node: node!.name, clusters: CLIENTS / PROCESSES, loadsPerCluster: 1, chunks: CHUNKS };
    const running = Promise.all(
      Array.from({ length: PROCESSES }, () => runClients({ ...share, seconds: SECONDS })),
    );
    const answersMs = await answersDuring(node!, running);
    const counts = sum(await running);
    const after = await heldAtRest(node!);
    const worstMs = answersMs.at(-1)!;
    const p99Ms = answersMs[Math.floor(answersMs.length * 0.99)]!;
    console.log(JSON.stringify({ ...counts, answers: answersMs.length, p99Ms, worstMs, before, after }));
    assert.is(counts.wrong, 0);
    assert.equal(counts.failures, {});
    assert.ok(counts.whole >= CLIENTS, 'every client loaded at least once');
    assert.ok(worstMs < ANSWER_MS_MAX, `a text command took ${worstMs} ms`);
    assert.ok(after.descriptors <= before.descriptors + 2, 'no descriptor is left behind');
    assert.ok(after.threads <= before.threads, 'no thread is left behind');
    assert.ok(after.anonymousBytes - before.anonymousBytes < GROWTH_BYTES_MAX, 'the node did not grow');
  });
});

test('clients beyond the connection limit come over tcp or are refused clearly, and the node serves on', async () => {
  await withNodes([() => startFabricNode('-c', '8')], async (node) => {
    await withImage(node!, CHUNKS);
    const before = await heldAtRest(node!);
    // 2 control connections, and 60 loads that want one over the fabric each, then one over tcp.
    const options = { node: node!.name, clusters: 2, loadsPerCluster: 30, chunks: CHUNKS, seconds: 3 };
    const counts = await runClients(options);
    console.log(JSON.stringify(counts));
    assert.is(counts.wrong, 0);
    assert.ok(counts.whole > 0);
    assert.ok(counts.fallbackChunks > 0, 'some were refused by the fabric and came over tcp');
    for (const text of Object.keys(counts.failures)) {
      const chunk = /^ERR_VOLLEY_NODE_(BUSY|DOWN): image "image": chunk # of # on node \S+ could not be read/;
      assert.match(text, chunk);
      assert.match(text, /takes no more connections|reset|closed/);
    }
    const after = await heldAtRest(node!);
    assert.ok(after.descriptors <= before.descriptors + 2, 'no descriptor is left behind');
  });
});

test.run();
