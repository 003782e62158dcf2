// What a client asks of its device: as many reads at a time as that takes, and a memory's registration once.

import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { NodeLoadReport } from '../client/index.js';
import { native } from '../src/native.js';
import { PROVIDER, startFabricNode } from './support/fabric.js';
import { heldBy } from './support/held-resources.js';
import { loadBytes, randomImage } from './support/images.js';
import { type TestNode, withCluster } from './support/nodes.js';

const byFabric = { transport: 'fabric', timeoutMs: 10_000 } as const;
const isVerbs = PROVIDER === 'verbs';
/** As docs/performance.md has it. */
const IN_FLIGHT_BYTES = 512 << 10;
const IN_FLIGHT_MIN = 16;
/** What a load registers beside its destination, for buckets, and a little. */
const PINNED_BESIDE_MAX = 128 << 10;

const test = suite(`a client's device over ${PROVIDER}`);
const verbsTest = isVerbs ? test : test.skip;
const node: TestNode = await startFabricNode();
test.after(() => node.process.kill());

/** What a load of an image of such chunks tells of its node. */
async function reportOf(chunkBytes: number): Promise<NodeLoadReport> {
  const content = randomImage(8);
  let report: NodeLoadReport | undefined;
  await withCluster(
    [node],
    async (cluster) => {
      await cluster.upload(content, { name: 'image', chunkBytes });
      const loaded = await loadBytes(cluster, 'image');
      assert.ok(loaded.bytes.equals(content));
      report = loaded.report.nodes[0]!;
    },
    byFabric,
  );
  assert.is(report!.fallbackChunks, 0);
  return report!;
}

/** max_rd_atomic of a device, as libibverbs' own program tells it. */
function readsOf(device: string): number {
  const told = execFileSync('ibv_devinfo', ['-v', '-d', device], { encoding: 'latin1' });
  return Number(/^\s*max_qp_init_rd_atom:\s+(\d+)/m.exec(told)![1]);
}

for (const chunkBytes of [32 << 10, 4096]) {
  test(`chunks of ${chunkBytes} bytes: as many in flight as are allowed, and no more than the device bears`, async () => {
    const { fabric, window } = await reportOf(chunkBytes);
    console.log(`${fabric!.device}: max_rd_atomic ${fabric!.readsOutstandingMax}, window ${window}`);
    const reads = isVerbs ? readsOf(fabric!.device) : null;
    assert.is(fabric!.readsOutstandingMax, reads);
    const bound = Math.max(IN_FLIGHT_BYTES / chunkBytes, IN_FLIGHT_MIN);
    assert.is(window, Math.min(bound, Math.max(reads ?? bound, 2)));
  });
}

verbsTest('two loads into one memory register it once, and that ends with the memory', async () => {
  await withCluster(
    [node],
    async (cluster) => {
      await cluster.upload(randomImage(128), { name: 'image' });
      const image = await cluster.open('image');
      const pinned = () => heldBy('self').pinnedBytes;
      const before = pinned();
      const destination = native().GuestMemory.create(image.imageBytes);
      await cluster.load(image, { destination });
      const first = pinned() - before;
      await cluster.load(image, { destination });
      const second = pinned() - before;
      destination.close();
      const closed = pinned() - before;
      console.log(
        `pinned: ${first} bytes after a load, ${second} after another, ${closed} without the memory`,
      );
      for (const held of [first, second]) {
        assert.ok(held >= image.imageBytes && held <= image.imageBytes + PINNED_BESIDE_MAX, `${held} bytes`);
      }
      assert.ok(closed <= PINNED_BESIDE_MAX, `${closed} bytes`);
    },
    byFabric,
  );
});

test.run();
