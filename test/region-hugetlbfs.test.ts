import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster } from '../client/index.js';
import { StorageNode } from '../server/index.js';
import { Hugetlbfs } from './support/hugetlbfs.js';
import { loadBytes, randomImage } from './support/images.js';
import { startVolleyNode, type TestNode } from './support/nodes.js';
import { figure } from './support/stores.js';

const test = suite('region file on hugetlbfs');
const MIB = 1024 * 1024;
const PAGES = 16;

let huge: Hugetlbfs | null = null;
try {
  huge = new Hugetlbfs(PAGES);
} catch (error) {
  console.log(`skipped: there is no hugetlbfs to be had: ${(error as Error).message.split('\n')[0]}`);
}
const hugeTest = huge ? test : test.skip;

async function withNode<T>(work: (node: TestNode) => Promise<T>): Promise<T> {
  const node = await startVolleyNode('-m', '16', '--region', join(huge!.folder, 'region'), '--fabric', 'net');
  try {
    return await work(node);
  } finally {
    await node.process.kill();
  }
}

hugeTest('images survive the node’s death there, and are read by every transport', async () => {
  const image = randomImage(300);
  await withNode(async (node) => {
    const cluster = await Cluster.connect({ nodes: [node.name] });
    await cluster.upload(image, { name: 'image' });
    await cluster.close();
  });
  await withNode(async (node) => {
    assert.is(await figure(node.port, 'backing_page_bytes', 'volley'), 2 * MIB);
    assert.is(await figure(node.port, 'restored_items', 'volley'), 301);
    for (const transport of ['local', 'fabric', 'tcp'] as const) {
      const cluster = await Cluster.connect({ nodes: [node.name], transport });
      const { bytes, report } = await loadBytes(cluster, 'image');
      assert.ok(bytes.equals(image), transport);
      assert.equal([report.nodes[0]!.fallbackChunks, report.checksumFailures], [0, 0], transport);
      await cluster.close();
    }
  });
});

hugeTest('a region for which there are not enough hugepages is refused with what to do', () => {
  const options = { memoryBytes: 2 * PAGES * MIB, region: join(huge!.folder, 'larger'), fabric: 'off' };
  assert.throws(
    () => new StorageNode(options),
    (error: Error & { code?: string }) =>
      error.code === 'ERR_VOLLEY_MEMORY' &&
      /larger cannot have 3\d MiB: No space left.*-m, or make its file system larger/.test(error.message),
  );
});

test.run();
