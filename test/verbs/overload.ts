// Run in the verbs VM: clients with full windows against one node that takes fewer connections than they want.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster, native } from '../../client/index.js';
import { holds, outcomeOf, startFabricNode } from '../support/fabric.js';
import { heldBy } from '../support/held-resources.js';
import { loadBytes, randomImage } from '../support/images.js';

const CLIENTS = Number(process.env.VOLLEY_TEST_CLIENTS ?? 32);
const SECONDS = Number(process.env.VOLLEY_TEST_SECONDS ?? 5);
/** What a node may grow by while it is asked by many: heap that the collector has not come to yet. */
const GROWTH_BYTES_MAX = 48 << 20;
const CHUNKS = 32;
const content = randomImage(CHUNKS);

const test = suite('overload over verbs');

interface Count {
  whole: number;
  overTcp: number;
  refused: number;
}

async function loadAgainAndAgain(cluster: Cluster, count: Count, untilMs: number): Promise<void> {
  const image = await cluster.open('image');
  const destination = native().GuestMemory.create(content.length);
  try {
    do {
      const { report, error } = await outcomeOf(cluster, image, { destination, readTimeoutMs: 20_000 });
      if (report) {
        assert.ok(holds(destination, content), 'what was told as loaded is right');
        count[report.nodes[0]!.fallbackChunks > 0 ? 'overTcp' : 'whole']++;
        continue;
      }
      count.refused++;
      assert.match(error.code, /^ERR_VOLLEY_(NODE_DOWN|TIMEOUT)$/, String(error));
      assert.match(error.message, /^image "image": chunk \d+ of \d+ on node /);
    } while (performance.now() < untilMs);
  } finally {
    destination.close();
  }
}

test(`${CLIENTS} clients at once: loads are whole or refused, and the node neither dies nor grows`, async () => {
  const node = await startFabricNode('-c', String(2 * CLIENTS));
  const connect = () => Cluster.connect({ nodes: [node.name], transport: 'fabric', timeoutMs: 20_000 });
  const clusters = await Promise.all(Array.from({ length: CLIENTS }, connect));
  try {
    await clusters[0]!.upload(content, { name: 'image' });
    const count: Count = { whole: 0, overTcp: 0, refused: 0 };
    // One round, after which the node has all that it needs for so many.
    await Promise.all(clusters.map((cluster) => loadAgainAndAgain(cluster, count, 0)));
    const before = heldBy(node.process.pid);
    const untilMs = performance.now() + SECONDS * 1000;
    await Promise.all(clusters.map((cluster) => loadAgainAndAgain(cluster, count, untilMs)));
    const after = heldBy(node.process.pid);
    console.log(`${CLIENTS} clients, ${SECONDS} s: ${JSON.stringify({ ...count, before, after })}`);
    assert.is(node.process.child.exitCode, null, 'the node lives');
    assert.ok(count.whole >= 2 * CLIENTS, `${count.whole} loads over the fabric`);
    assert.ok(after.anonymousBytes <= before.anonymousBytes + GROWTH_BYTES_MAX, 'memory');
    assert.ok(after.descriptors <= before.descriptors + 2 * CLIENTS, 'descriptors');
    assert.ok(after.threads <= before.threads, 'threads');
    const { report } = await loadBytes(clusters[0]!, 'image');
    assert.is(report.nodes[0]!.fallbackChunks, 0, 'a load after that comes over the fabric');
  } finally {
    await Promise.all(clusters.map((cluster) => cluster.close()));
    await node.process.kill();
  }
});

test.run();
