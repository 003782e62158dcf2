// Run in the verbs VM: what happens to loads over verbs when a node is stopped, unplugged, too slow or killed with reads in
// flight. One client goes through all of it without being restarted.
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster, native } from '../../client/index.js';
import {
  fallbackChunks,
  holds,
  outcomeOf,
  repeatedImage,
  SMALL_NODE,
  startFabricNode,
} from '../support/fabric.js';
import { type HeldResources, heldBy } from '../support/held-resources.js';
import { randomImage } from '../support/images.js';
import { startVolleyNodeAt, type TestNode } from '../support/nodes.js';
import { StruckLoad } from '../support/struck-load.js';
import { Cable } from './cable.js';

const READ_TIMEOUT_MS = 500;
/** How long a destination is watched after its load has ended. */
const WATCH_MS = 700;
const FAILURES = Number(process.env.VOLLEY_TEST_FAILURES ?? 120);
/** Failures after which all is there that is made once. */
const WARM_UP = 40;
const FAILURES_TIMEOUT_MS = FAILURES * 450;
/** A connection's own; a page per failure would be 320 kB. */
const PINNED_BYTES_MAX = 256 << 10;
/** What allocators may keep. */
const GROWTH_BYTES_MAX = 16 << 20;
const SMALL_CHUNKS = 64;
const content = repeatedImage(1024, 128);

const test = suite('failures over verbs');

const cable = new Cable();
const startFar = (...args: string[]) => startVolleyNodeAt(cable.far, [], [...SMALL_NODE, ...args]);
/** Trouble comes to the far node; the other one is there all the time. */
let [far, other] = (await Promise.all([startFar(), startFabricNode()])) as [TestNode, TestNode];
const cluster = await Cluster.connect({
  nodes: [far.name, other.name],
  transport: 'fabric',
  timeoutMs: 3000,
});
const load = await StruckLoad.prepare(cluster, content);

/** Demands that the error names the far node, that no byte comes late whatever `revive` wakes, and that loads work again. */
async function checkFailed(error: Error | null, revive: () => void): Promise<void> {
  assert.match(
    String((error as { code?: string } | null)?.code),
    /^ERR_VOLLEY_(TIMEOUT|NODE_DOWN)$/,
    String(error),
  );
  load.checkTold(error!, far.name);
  const untouched = load.paint();
  revive();
  await sleep(WATCH_MS);
  assert.ok(untouched(), 'nothing is written after the end of the load');
  assert.is(fallbackChunks(await load.loadWhole()), 0, 'the next load comes over the fabric again');
}

test("a stopped node's memory is read to the end; the next load is given up, and once it goes on the one after is whole", async () => {
  // The device answers, not the process: that is what one-sided means.
  const { report, error } = await load.strike(() => far.process.signal('SIGSTOP'), 8000);
  if (error) throw error;
  assert.is(fallbackChunks(report), 0);
  // But nobody takes the connections of another load.
  const { destination, image } = load;
  const next = await outcomeOf(cluster, image, { destination, readTimeoutMs: READ_TIMEOUT_MS });
  await checkFailed(next.error, () => far.process.signal('SIGCONT'));
});

test('a node whose cable is pulled is named; plugged in again, no byte comes late and loads are whole', async () => {
  const { error } = await load.strike(() => cable.pull(), READ_TIMEOUT_MS);
  await checkFailed(error, () => cable.plug());
});

test('a cable that is pulled for less than the deadline only makes the load longer', async () => {
  const pullAndPlug = () => {
    cable.pull();
    setTimeout(() => cable.plug(), READ_TIMEOUT_MS);
  };
  const { report, error } = await load.strike(pullAndPlug, 20_000);
  if (error) throw error;
  assert.is(fallbackChunks(report), 0);
});

function checkNothingLeft(what: string, before: HeldResources, after: HeldResources): void {
  console.log(`${what}: ${JSON.stringify(before)} before, ${JSON.stringify(after)} after`);
  assert.ok(after.descriptors <= before.descriptors + 4, `${what}: descriptors`);
  assert.ok(after.threads <= before.threads, `${what}: threads`);
  assert.ok(after.pinnedBytes <= before.pinnedBytes + PINNED_BYTES_MAX, `${what}: pinned memory`);
  assert.ok(after.anonymousBytes <= before.anonymousBytes + GROWTH_BYTES_MAX, `${what}: memory`);
}

test(`${FAILURES} loads whose deadline passes leave no byte, descriptor, thread or pinned memory behind`, async () => {
  const small = randomImage(SMALL_CHUNKS);
  await cluster.upload(small, { name: 'small' });
  const image = await cluster.open('small');
  const destination = native().GuestMemory.create(small.length);
  const paint = Buffer.alloc(small.length, 0x5a);
  const deadline = performance.now() + FAILURES_TIMEOUT_MS;
  let before: [HeldResources, HeldResources] | undefined;
  let failures = 0;
  for (; failures < FAILURES && performance.now() < deadline; ) {
    const { error } = await outcomeOf(cluster, image, { destination, readTimeoutMs: 1 });
    if (error) {
      failures++;
      assert.match(error.message, /^image "small": chunk \d+ of 64 on node \S+ /);
    } else assert.ok(holds(destination, small), 'what was told as loaded is right');
    if (failures === WARM_UP) before ??= [heldBy('self'), heldBy(other.process.pid)];
    if (failures % 40 !== 0) continue;
    destination.write(0, paint);
    await sleep(50);
    assert.ok(holds(destination, paint), 'nothing is written after the end of the load');
  }
  assert.is(failures, FAILURES, `in ${FAILURES_TIMEOUT_MS / 1000} s`);
  await cluster.load(image, { destination });
  assert.ok(holds(destination, small), 'the next load, with time, is whole');
  await sleep(WATCH_MS);
  checkNothingLeft('client', before![0], heldBy('self'));
  checkNothingLeft('node', before![1], heldBy(other.process.pid));
  destination.close();
});

test('a node that is killed is named; started again with another epoch, loads of the same client are whole', async () => {
  const { error } = await load.strike(() => far.process.signal('SIGKILL'), 8000);
  assert.is(error?.code, 'ERR_VOLLEY_NODE_DOWN', String(error));
  load.checkTold(error!, far.name);
  const untouched = load.paint();
  await far.process.kill();
  far = await startFar('-p', String(far.port));
  const another = await Cluster.connect({ nodes: cluster.nodes.map(({ name }) => name), timeoutMs: 3000 });
  await another.upload(content, { name: 'image' });
  await another.close();
  assert.ok(untouched(), 'nothing is written after the end of the load');
  await load.loadWhole();
  await load.loadWhole();
});

test.after(async () => {
  load.close();
  await cluster.close();
  await Promise.all([far, other].map((node) => node.process.kill()));
});

test.run();
