import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster } from '../client/index.js';
import { contentDigest } from '../src/digest.js';
import { chunkKey } from '../src/keys.js';
import { GateProxy } from './support/gate-proxy.js';
import { CHUNK_BYTES, loadBytes, randomImage } from './support/images.js';
import { startMemcached, startVolleyNode, type TestNode, withCluster, withNodes } from './support/nodes.js';
import { deleteItem } from './support/raw-client.js';
import { rejects } from './support/rejection.js';

const test = suite('upload races');

/** What `rm` sends when it takes chunks away, however it does that. */
const takesChunks = (data: string) => /(delete volley:c:|touch volley:c:\w+ [1-9])/.test(data);

/** Longer than chunks have that rm sentenced: what it did not spare is gone then. */
const PAST_SENTENCE_MS = 4200;

/** An `add` or `replace` of a manifest, in the binary protocol. */
const writesManifest = (data: string) => /\x80[\x02\x03].{22,}volley:m:/s.test(data);

/** The first probe of chunks after this client has sent a manifest. */
function probesAfterManifest(): (data: string) => boolean {
  let isManifestSent = false;
  return (data) => {
    if (writesManifest(data)) isManifestSent = true;
    return isManifestSent && data.includes('touch volley:c:');
  };
}

/** A node with two clients: one reaches it as it is, the other through a gate. */
async function withGate(
  start: () => Promise<TestNode>,
  isAwaited: (data: string) => boolean,
  work: (clients: { node: TestNode; plain: Cluster; gated: Cluster; proxy: GateProxy }) => Promise<void>,
): Promise<void> {
  await withNodes([start], async (node) => {
    await GateProxy.use(node!.port, isAwaited, async (proxy) => {
      await withCluster([node!], async (plain) => {
        await withCluster([proxy], (gated) => work({ node: node!, plain, gated, proxy }));
      });
    });
  });
}

const NODES = [() => startMemcached(), () => startVolleyNode()];

/** A `delete` of a manifest, in the binary protocol. */
const deletesManifest = (data: string) => /\x80\x04.{22}volley:m:/s.test(data);

test('an rm leaves an image that another upload stored under the name while it was about to remove the old one', async () => {
  const rounds = NODES.map((start) =>
    withGate(start, deletesManifest, async ({ plain, gated, proxy }) => {
      await plain.upload(randomImage(5), { name: 'a' });
      const rejection = rejects(gated.remove('a'), 'ERR_VOLLEY_CONFLICT', '"a"', 'replaced', 'volley rm');
      await proxy.held;
      const content = randomImage(5);
      await plain.upload(content, { name: 'a' });
      proxy.open();
      await rejection;
      assert.ok((await loadBytes(plain, 'a')).bytes.equals(content));
      await gated.remove('a');
      await rejects(plain.open('a'), 'ERR_VOLLEY_NOT_FOUND');
    }),
  );
  await Promise.all(rounds);
});

test('an rm from a memcached without CAS values removes what it read and spares what it did not', async () => {
  const start = () => startMemcached('-C');
  await withGate(start, deletesManifest, async ({ plain, gated, proxy }) => {
    await plain.upload(randomImage(5), { name: 'a' });
    const removal = gated.remove('a');
    await proxy.held;
    proxy.open();
    assert.is((await removal).removedChunks, 5);
    await rejects(plain.open('a'), 'ERR_VOLLEY_NOT_FOUND');
  });
  let reads = 0;
  const readsAgain = (data: string) => /\x80\x00.{22}volley:m:/s.test(data) && ++reads === 2;
  await withGate(start, readsAgain, async ({ plain, gated, proxy }) => {
    await plain.upload(randomImage(5), { name: 'a' });
    const rejection = rejects(gated.remove('a'), 'ERR_VOLLEY_CONFLICT');
    await proxy.held;
    const content = randomImage(5);
    await plain.upload(content, { name: 'a' });
    proxy.open();
    await rejection;
    assert.ok((await loadBytes(plain, 'a')).bytes.equals(content));
  });
});

test("an upload between rm's listing and its taking of the chunks keeps them", async () => {
  const rounds = NODES.map((start) =>
    withGate(start, takesChunks, async ({ plain, gated, proxy }) => {
      const content = randomImage(30);
      await plain.upload(content, { name: 'old' });
      const removal = gated.remove('old');
      await proxy.held;
      const report = await plain.upload(content, { name: 'new' });
      assert.is(report.presentChunks, 30);
      proxy.open();
      const { removedChunks, sharedChunks, freedWithinSeconds } = await removal;
      assert.equal([removedChunks, sharedChunks, freedWithinSeconds], [0, 30, 0]);
      await sleep(PAST_SENTENCE_MS);
      assert.ok((await loadBytes(plain, 'new')).bytes.equals(content));
    }),
  );
  await Promise.all(rounds);
});

test('an rm whose host slept while chunks were sentenced gives them longer and lists once more', async () => {
  const { uptime } = os;
  const setUptime = (changed: () => number) => {
    os.uptime = changed;
    syncBuiltinESMExports();
  };
  await withGate(NODES[1]!, takesChunks, async ({ plain, gated, proxy }) => {
    await plain.upload(randomImage(5), { name: 'a' });
    const removal = gated.remove('a');
    await proxy.held;
    setUptime(() => uptime() + 3600);
    proxy.open();
    try {
      const { removedChunks, freedWithinSeconds } = await removal;
      assert.equal([removedChunks, freedWithinSeconds], [5, 30]);
    } finally {
      setUptime(uptime);
    }
  });
});

test("an upload whose manifest comes after rm's second listing keeps the chunks itself", async () => {
  const rounds = NODES.map((start) =>
    withGate(start, writesManifest, async ({ plain, gated, proxy }) => {
      const content = randomImage(30);
      await plain.upload(content, { name: 'old' });
      const upload = gated.upload(content, { name: 'new' });
      await proxy.held;
      assert.is((await plain.remove('old')).removedChunks, 30);
      proxy.open();
      await upload;
      await sleep(PAST_SENTENCE_MS);
      assert.ok((await loadBytes(plain, 'new')).bytes.equals(content));
    }),
  );
  await Promise.all(rounds);
});

test('an upload that loses a chunk leaves alone what somebody else has stored under the name meanwhile', async () => {
  for (const isReplaced of [true, false]) {
    const start = () => startMemcached();
    await withGate(start, probesAfterManifest(), async ({ node, plain, gated, proxy }) => {
      const content = randomImage(4);
      const upload = gated.upload(Readable.from([content]), { name: 'a' });
      const rejection = rejects(upload, 'ERR_VOLLEY_CHUNK', '1 chunks were lost');
      await proxy.held;
      const theirs = randomImage(3);
      if (isReplaced) await plain.upload(theirs, { name: 'a' });
      await deleteItem(node.port, chunkKey(contentDigest(content.subarray(0, CHUNK_BYTES)), 0));
      proxy.open();
      await rejection;
      if (isReplaced) assert.ok((await loadBytes(plain, 'a')).bytes.equals(theirs));
      else await rejects(plain.open('a'), 'ERR_VOLLEY_NOT_FOUND');
    });
  }
});

test.run();
