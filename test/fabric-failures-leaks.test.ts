// A thousand failures of all kinds, over a fabric and over the fake transport, leave nothing behind.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster, Manifest } from '../client/index.js';
import { contentDigest } from '../src/digest.js';
import { chunkKey } from '../src/keys.js';
import { FAULTS, type GuestMemory, native, type ReaderPath } from '../src/native.js';
import { CraftedRegion } from './support/crafted-region.js';
import { PROVIDER, startFabricNode } from './support/fabric.js';
import { regionWithImages } from './support/fault-images.js';
import { type HeldResources, heldBy } from './support/held-resources.js';
import { HOST } from './support/host.js';
import { CHUNK_BYTES, randomImage } from './support/images.js';
import { CHUNK_KEY_PREFIX } from './support/items.js';
import { LyingFabric } from './support/lying-fabric.js';
import { type TestNode, withCluster, withNodes } from './support/nodes.js';
import { deleteItem, setItem } from './support/raw-client.js';

const FAILURES = PROVIDER === 'verbs' ? 300 : 1000;
const FAILURES_FAKE = 1000;
const WARM_UP = 100;
const CHUNKS = 40;
/** What allocators may keep; a leak of a connection or a load each time would be far more. */
const GROWTH_BYTES_MAX = 16 << 20;
const byFabric = { transport: 'fabric', timeoutMs: 2000 } as const;

const test = suite(`fabric failures, leaks over ${PROVIDER}`);
const content = randomImage(CHUNKS);
const bytesOf = (chunk: number) => content.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);
const keyOf = (chunk: number) => chunkKey(contentDigest(bytesOf(chunk)));

function checkHeld(before: HeldResources, after: HeldResources, whose: string): void {
  const told = `${whose}: ${JSON.stringify({ before, after })}`;
  console.log(told);
  assert.ok(after.descriptors <= before.descriptors, `descriptors of ${told}`);
  assert.ok(after.threads <= before.threads, `threads of ${told}`);
  assert.ok(after.pinnedBytes <= before.pinnedBytes, `pinned memory of ${told}`);
  assert.ok(after.anonymousBytes - before.anonymousBytes < GROWTH_BYTES_MAX, `memory of ${told}`);
}

async function fails(work: Promise<unknown>): Promise<void> {
  const outcome = await work.then(
    () => 'it did not fail',
    (error: { code?: string }) => error.code ?? String(error),
  );
  assert.match(outcome, /^ERR_VOLLEY_/);
}

interface World {
  /** Connected to a node that lacks chunk 0, holds wrong bytes for chunk 1 and nothing but. */
  cluster: Cluster;
  /** Connected to a node that does not answer. */
  silent: Cluster;
  /** Led to a region whose addresses lie outside what is registered. */
  misled: Cluster;
  image: Manifest;
  destination: GuestMemory;
}

/** Ways to fail, each in some milliseconds. */
function failureKinds({ cluster, silent, misled, image, destination }: World): (() => Promise<void>)[] {
  const offer = cluster.nodes[0]!.volley!.fabric!;
  const open = (change: object) =>
    native().openRemoteRegion({ ...offer, host: HOST, timeoutMs: 2000, ...change });
  const load = (by: Cluster, options = {}) => by.load(image, { destination, ...options });
  return [
    () => fails(open({ key: offer.key ^ 1n })),
    () => fails(open({ base: 1n << 62n })),
    () => fails(open({ port: 1 })),
    () => fails(load(cluster)), // missing and wrong chunks
    () => fails(load(cluster, { signal: AbortSignal.abort() })),
    () => {
      const abort = new AbortController();
      setImmediate(() => abort.abort());
      return fails(load(cluster, { signal: abort.signal }));
    },
    () => fails(load(silent, { readTimeoutMs: 1 })),
    () => fails(load(misled)),
  ];
}

async function withWorld(work: (world: World, node: TestNode) => Promise<void>): Promise<void> {
  await withNodes([startFabricNode, startFabricNode], async (node, stopped) => {
    const crafted = new CraftedRegion();
    crafted.bytes.writeBigUInt64LE(1n << 40n, 16);
    crafted.bytes.writeBigUInt64LE((1n << 40n) - 135_168n, 64);
    crafted.seal().entry(keyOf(0), { address: 1n << 39n, length: CHUNK_BYTES, xxh3: 1n });
    const fabric = new LyingFabric(crafted);
    const connect = (to: TestNode, then: (cluster: Cluster) => Promise<void>) =>
      withCluster([to], then, byFabric);
    await connect(node!, (cluster) =>
      connect(stopped!, (silent) =>
        connect(node!, async (misled) => {
          await cluster.upload(content, { name: 'image' });
          await deleteItem(node!.port, keyOf(0));
          await setItem(node!.port, keyOf(1), randomImage(1));
          misled.nodes[0]!.region!.close();
          misled.nodes[0]!.region = await fabric.open();
          stopped!.process.signal('SIGSTOP');
          const destination = native().GuestMemory.create(content.length);
          const image = await cluster.open('image');
          await work({ cluster, silent, misled, image, destination }, node!);
          destination.close();
        }),
      ),
    ).finally(() => fabric.close());
  });
}

async function untilUnconnected(cluster: Cluster): Promise<void> {
  const connections = async () =>
    Number((await cluster.nodes[0]!.control.stats('volley'))!.fabric_connections);
  for (let tries = 0; tries < 100 && (await connections()) > 0; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.is(await connections(), 0);
}

test(`${FAILURES} failures of all kinds leave nothing behind, at the client and at the node`, async () => {
  await withWorld(async (world, node) => {
    const kinds = failureKinds(world);
    const failing = async (count: number) => {
      for (let i = 0; i < count; i++) await kinds[i % kinds.length]!();
      await untilUnconnected(world.cluster);
    };
    await failing(WARM_UP);
    const before = [heldBy('self'), heldBy(node.process.pid)] as const;
    await failing(FAILURES);
    checkHeld(before[0], heldBy('self'), 'the client');
    checkHeld(before[1], heldBy(node.process.pid), 'the node');
    await setItem(node.port, keyOf(0), bytesOf(0));
    await setItem(node.port, keyOf(1), bytesOf(1));
    await world.cluster.load(world.image, { destination: world.destination });
    assert.ok(world.destination.read(0, content.length).equals(content), 'the next load is whole');
  });
});

test(`${FAILURES_FAKE} failures of every fault over the fake transport leave nothing behind`, async () => {
  const { images, mapped, close } = await regionWithImages();
  const image = images[1]!;
  const destination = native().GuestMemory.create(8 * image.chunkBytes);
  const faults = FAULTS.filter((fault) => fault !== 'none');
  const failing = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const fault = faults[i % faults.length]!;
      const row = Buffer.alloc(24, FAULTS.indexOf(fault));
      image.records.copy(row, 0, 0, 16);
      const path: ReaderPath = { kind: 'fake', region: mapped, seed: i, faults: row };
      const reader = new (native().Reader)({
        destination,
        destinationOffset: 0,
        imageBytes: destination.bytes,
        chunkBytes: image.chunkBytes,
        records: image.records.subarray(0, 8 * 24),
        sources: new Uint16Array(8),
        paths: [path],
        keyPrefix: CHUNK_KEY_PREFIX,
        threads: 1 + (i % 3),
        readTimeoutMs: fault === 'never' ? 2 : 10_000,
      });
      assert.ok((await reader.run()).failures.length > 0, fault);
    }
  };
  await failing(WARM_UP);
  const before = heldBy('self');
  await failing(FAILURES_FAKE);
  checkHeld(before, heldBy('self'), 'the client');
  destination.close();
  close();
});

test.run();
