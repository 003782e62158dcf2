import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { native, type Region } from '../src/native.js';
import { fallbackChunks } from './support/fabric.js';
import { loadBytes } from './support/images.js';
import { placeItem, wholeArena } from './support/items.js';
import { startVolleyNode, withCluster, withNodes } from './support/nodes.js';
import { randomBytes } from './support/seed.js';

const test = suite('a table that grows');
const PAGE = 1_054_720;
const SLOT = 256;

function find(region: Region, key: string): number {
  const out = new Float64Array(1);
  region.find(Buffer.from(key), Uint32Array.of(0, Buffer.byteLength(key)), 1, out);
  return out[0]!;
}

test('grows with its items, a part at a time, and loses none', () => {
  const items = 16_000;
  const region = new (native().Region)({ arenaBytes: 4 * PAGE, tableItems: 30_000, hugepages: false });
  const arena = wholeArena(region);
  const counts = new Set<number>();
  for (let i = 0; i < items; i++) {
    placeItem(arena, i * SLOT, `key-${i}`, Buffer.from(`value ${i}`));
    assert.is(region.link(i * SLOT), -1);
    const { bucketCount } = region.info;
    if (counts.has(bucketCount)) continue;
    counts.add(bucketCount);
    for (let known = 0; known <= i; known++)
      assert.is(find(region, `key-${known}`), known * SLOT, `at ${bucketCount}`);
  }
  const { bucketCount, bucketCapacity } = region.info;
  assert.ok(counts.size >= 8, `it grew ${counts.size} times`);
  assert.ok(
    bucketCount < bucketCapacity && items / (4 * bucketCount) > 0.7,
    `${bucketCount} buckets are in use`,
  );
  for (let i = 0; i < items; i += 2) assert.is(region.unlink(i * SLOT), true);
  for (let i = 0; i < items; i++) assert.is(find(region, `key-${i}`), i % 2 === 0 ? -1 : i * SLOT);
  region.close();
});

test('items keep all that they have when they are moved', () => {
  const region = new (native().Region)({ arenaBytes: PAGE, tableItems: 1000, hugepages: false });
  const arena = wholeArena(region);
  placeItem(arena, 0, 'key', Buffer.from('some value'));
  region.link(0);
  region.move(0, 4096);
  assert.is(find(region, 'key'), 4096);
  assert.is(region.isIntact(4096), true);
  assert.is(region.itemCount, 1);
  assert.is(region.unlink(0), false, 'it is not at the old place any more');
  assert.throws(() => region.move(0, 8192), /no linked item/);
  assert.throws(() => region.move(4096, PAGE - 64), /no linked item/);
  assert.is(region.unlink(4096), true);
  region.close();
});

const ways = [
  ['local', ['--fabric', 'off']],
  ['fabric', ['--fabric', 'net', '--local', 'off']],
] as const;
for (const [transport, args] of ways) {
  test(`clients that connected before read over ${transport} what came later`, async () => {
    const start = () => startVolleyNode('-m', '64', '--hugepages', 'off', ...args);
    await withNodes([start], async (node) => {
      await withCluster(
        [node!],
        async (cluster) => {
          const before = cluster.nodes[0]!.region!.info.bucketCount;
          const image = randomBytes(8000 * 4096);
          await cluster.upload(image, { name: 'image', chunkBytes: 4096 });
          const { bytes, report } = await loadBytes(cluster, 'image');
          assert.ok(bytes.equals(image));
          assert.is(fallbackChunks(report), 0);
          assert.is(before, 1024, 'the table was small when the client connected');
        },
        { transport },
      );
    });
  });
}

test.run();
