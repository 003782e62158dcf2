// What happens to a load when a node's region cannot be read as it was told: a wrong key, addresses outside, wrong lengths.

import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster, Manifest } from '../client/index.js';
import { contentDigest } from '../src/digest.js';
import { chunkKey } from '../src/keys.js';
import { native } from '../src/native.js';
import { CraftedRegion } from './support/crafted-region.js';
import { fallbackChunks, holds, outcomeOf, PROVIDER, startFabricNode } from './support/fabric.js';
import { CHUNK_BYTES, randomImage } from './support/images.js';
import { LyingFabric } from './support/lying-fabric.js';
import { type TestNode, withCluster, withNodes } from './support/nodes.js';
import { deleteItem } from './support/raw-client.js';

const CHUNKS = 24;
const LIED_OF = 7;
/** How long a destination is watched after its load has ended. */
const WATCH_MS = 100;
const content = randomImage(CHUNKS);
const bytesOf = (chunk: number) => content.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);
const keyOf = (chunk: number) => chunkKey(contentDigest(bytesOf(chunk)));
const liar = keyOf(LIED_OF);

const byFabric = { transport: 'fabric', timeoutMs: 2000 } as const;
const test = suite(`fabric lies over ${PROVIDER}`);
/** Soft-RoCE gives memory that is registered anew the same key: there is no wrong one to be had. */
const keyTest = PROVIDER.startsWith('verbs') ? test.skip : test;

/** A region that holds the image, but for the lie about one chunk. */
function craft(lie: (crafted: CraftedRegion) => void): CraftedRegion {
  const crafted = new CraftedRegion();
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    if (chunk !== LIED_OF) crafted.put(keyOf(chunk), bytesOf(chunk), chunk * CHUNK_BYTES);
  }
  lie(crafted);
  return crafted;
}

interface Scene {
  cluster: Cluster;
  node: TestNode;
  image: Manifest;
  fabric: LyingFabric;
}

/**
 * A client that was led to the crafted region instead of that of the node, which holds the image. The node has to run
 * already: it would inherit the port, for libfabric does not mark its sockets to be closed.
 */
async function withLies(
  node: TestNode,
  crafted: CraftedRegion,
  work: (scene: Scene) => Promise<void>,
): Promise<void> {
  const fabric = new LyingFabric(crafted);
  const lead = async (cluster: Cluster) => {
    await cluster.upload(content, { name: 'image' });
    cluster.nodes[0]!.region!.close();
    cluster.nodes[0]!.region = await fabric.open();
    await work({ cluster, node, image: await cluster.open('image'), fabric });
  };
  await withCluster([node], lead, byFabric).finally(() => fabric.close());
}

/** Loads, checks what came, and that nothing is written afterwards. */
async function loadAndWatch({ cluster, image }: Scene) {
  const destination = native().GuestMemory.create(content.length);
  try {
    const outcome = await outcomeOf(cluster, image, { destination });
    if (outcome.report) assert.ok(holds(destination, content), 'what was told as loaded is right');
    const paint = Buffer.alloc(content.length, 0x5a);
    destination.write(0, paint);
    await sleep(WATCH_MS);
    assert.ok(holds(destination, paint), 'nothing is written after the end of the load');
    return outcome;
  } finally {
    destination.close();
  }
}

const LIES: { what: string; lie: (crafted: CraftedRegion) => void; breaks: boolean }[] = [
  {
    what: 'an address outside the arena',
    lie: (crafted) => crafted.entry(liar, { address: 1n << 40n, length: CHUNK_BYTES, xxh3: 1n }),
    breaks: false,
  },
  {
    what: 'an address that wraps round',
    lie: (crafted) => crafted.entry(liar, { address: (1n << 64n) - 64n, length: CHUNK_BYTES, xxh3: 1n }),
    breaks: false,
  },
  {
    what: 'another length',
    lie: (crafted) => crafted.entry(liar, { address: 135_168n, length: CHUNK_BYTES - 1, xxh3: 1n }),
    breaks: false,
  },
  {
    what: "another chunk's bytes",
    lie: (crafted) => crafted.entry(liar, { address: 135_168n, length: CHUNK_BYTES, xxh3: 1n }),
    breaks: false,
  },
  {
    what: 'an address in an arena that is larger than what is registered',
    lie: (crafted) => {
      crafted.bytes.writeBigUInt64LE(1n << 40n, 16);
      crafted.bytes.writeBigUInt64LE((1n << 40n) - 135_168n, 64);
      crafted.seal().entry(liar, { address: 1n << 39n, length: CHUNK_BYTES, xxh3: 1n });
    },
    breaks: true,
  },
];

/** Lives as long as the tests do: in an emulated machine a node takes seconds to start. */
const honest = await startFabricNode();
test.after(() => honest.process.kill());

for (const { what, lie, breaks } of LIES) {
  test(`${what} costs ${breaks ? 'the connection' : 'one chunk'}, which tcp brings; when it cannot, the chunk is told of`, async () => {
    await withLies(honest, craft(lie), async (scene) => {
      const { report, error } = await loadAndWatch(scene);
      if (error) throw error;
      if (breaks) assert.ok(fallbackChunks(report) >= 1);
      else assert.is(fallbackChunks(report), 1);

      await deleteItem(scene.node.port, liar);
      const failed = await loadAndWatch(scene);
      assert.is(failed.error?.code, 'ERR_VOLLEY_CHUNK', String(failed.error));
      const told = `image "image": chunk ${LIED_OF} of ${CHUNKS} on node ${scene.node.name} is not there`;
      assert.ok(failed.error!.message.startsWith(told), failed.error!.message);
    });
  });
}

keyTest(
  'with a wrong key nothing is read; tcp brings the image, and the right key works again at once',
  async () => {
    const crafted = craft((region) => region.put(liar, bytesOf(LIED_OF), LIED_OF * CHUNK_BYTES));
    const work = async (scene: Scene) => {
      const { cluster, fabric, node } = scene;
      assert.is(fallbackChunks((await loadAndWatch(scene)).report!), 0, 'with the right key all is read');
      await fabric.changeKey();
      const { report, error } = await loadAndWatch(scene);
      if (error) throw error;
      assert.is(fallbackChunks(report), CHUNKS);

      const wrong = cluster.nodes[0]!.region!;
      cluster.nodes[0]!.region = await fabric.open();
      assert.is(fallbackChunks((await loadAndWatch(scene)).report!), 0, 'the right key works');

      cluster.nodes[0]!.region = wrong;
      await node.process.kill();
      const failed = await loadAndWatch(scene);
      assert.is(failed.error?.code, 'ERR_VOLLEY_NODE_DOWN', String(failed.error));
      assert.match(
        failed.error!.message,
        new RegExp(`^image "image": chunk 0 of ${CHUNKS} on node ${node.name} `),
      );
    };
    await withNodes([startFabricNode], (node) => withLies(node!, crafted, work));
  },
);

test.run();
