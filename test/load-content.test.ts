import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type LoadProgress, native } from '../client/index.js';
import { CHUNK_BYTES, loadBytes, randomImage } from './support/images.js';
import { startMemcached, startVolleyNode, withCluster, withNodes } from './support/nodes.js';
import { rejects } from './support/rejection.js';
import { randomBytes } from './support/seed.js';

const test = suite('load content');

test('one image comes over local and tcp together, and the report tells which node brought what, and why', async () => {
  await withNodes([() => startVolleyNode(), () => startMemcached()], async (volley, stock) => {
    await withCluster([volley!, stock!], async (cluster) => {
      const one = randomImage(1);
      const zeros = Buffer.alloc(2 * CHUNK_BYTES);
      const content = Buffer.concat([one, randomImage(60), zeros, one, one, randomImage(7, 3)]);
      await cluster.upload(content, { name: 'a' });
      const { bytes, report } = await loadBytes(cluster, 'a');
      assert.ok(bytes.equals(content));
      assert.is(report.bytes, content.length);
      assert.is(report.chunks, 72);
      assert.is(report.zeroChunks, 2);
      assert.is(report.sharedChunks, 3);
      assert.is(report.checksumFailures, 0);
      assert.ok(report.gbPerSecond > 0 && report.stages.readMs > 0 && report.stages.verifyMs > 0);
      const local = report.nodes.find(({ name }) => name === volley!.name)!;
      const tcp = report.nodes.find(({ name }) => name === stock!.name)!;
      assert.is(local.transport, 'local');
      assert.match(local.transportReason, /same host/);
      assert.is(tcp.transport, 'tcp');
      assert.match(tcp.transportReason, /stock memcached/);
      assert.is(local.chunks + tcp.chunks, 70);
      assert.is(local.bytes + tcp.bytes, content.length - zeros.length);
      assert.ok(local.chunks > 10 && tcp.chunks > 10);
      assert.is(local.fallbackChunks, 0);
    });
  });
});

test('the same image comes over tcp from Volley nodes when that is asked for', async () => {
  await withNodes([() => startVolleyNode()], async (node) => {
    await withCluster(
      [node!],
      async (cluster) => {
        const content = randomImage(90, 11);
        await cluster.upload(content, { name: 'a' });
        const { bytes, report } = await loadBytes(cluster, 'a');
        assert.ok(bytes.equals(content));
        assert.is(report.nodes[0]!.transport, 'tcp');
        assert.is(report.nodes[0]!.transportReason, 'tcp was asked for');
      },
      { transport: 'tcp' },
    );
  });
});

test('a load writes nothing outside its place, and writes zeros where the destination is not known to be zero', async () => {
  await withNodes([() => startVolleyNode()], async (node) => {
    await withCluster([node!], async (cluster) => {
      const content = Buffer.concat([randomImage(2), Buffer.alloc(CHUNK_BYTES), randomImage(1, 100)]);
      await cluster.upload(content, { name: 'a' });
      const image = await cluster.open('a');
      const offset = 8192;
      const whole = Buffer.alloc(content.length + 2 * offset, 0xee);
      const destination = native().GuestMemory.create(whole.length);
      destination.write(0, whole);
      await cluster.load(image, { destination, destinationOffset: offset });
      content.copy(whole, offset);
      assert.ok(destination.read(0, whole.length).equals(whole));
      await rejects(
        cluster.load(image, { destination, destinationOffset: 2 * offset + 1 }),
        'ERR_VOLLEY_MEMORY',
        '"a"',
        String(content.length),
      );
      destination.close();
    });
  });
});

test('progress is told up to the end', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    await withCluster([node!], async (cluster) => {
      const content = Buffer.concat([randomImage(20), Buffer.alloc(CHUNK_BYTES)]);
      await cluster.upload(content, { name: 'a' });
      const told: LoadProgress[] = [];
      await loadBytes(cluster, 'a', { onProgress: (progress) => told.push(progress) });
      assert.equal(told.at(-1), { chunks: 20, bytes: 20 * CHUNK_BYTES, totalBytes: content.length });
    });
  });
});

test('any range of an image can be read alone', async () => {
  await withNodes([() => startMemcached(), () => startVolleyNode()], async (...nodes) => {
    await withCluster(nodes, async (cluster) => {
      const content = Buffer.concat([randomBytes(100_000), Buffer.alloc(100_000), randomBytes(50_001)]);
      await cluster.upload(content, { name: 'a', chunkBytes: 4096 });
      const image = await cluster.open('a');
      const ranges = [
        [0, 0],
        [0, 1],
        [4095, 2],
        [4096, 4096],
        [99_990, 100_100],
        [250_000, 1],
        [0, content.length],
        [content.length, 0],
      ] as const;
      for (const [offset, length] of ranges) {
        const bytes = await cluster.read(image, offset, length);
        assert.ok(bytes.equals(content.subarray(offset, offset + length)), `${length} at ${offset}`);
      }
      for (const [offset, length] of [
        [0, content.length + 1],
        [-1, 1],
        [1, Number.NaN],
      ] as const) {
        await rejects(cluster.read(image, offset, length), 'ERR_VOLLEY_USAGE', 'not inside');
      }
    });
  });
});

test.run();
