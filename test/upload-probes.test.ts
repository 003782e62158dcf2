import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { contentDigest } from '../src/digest.js';
import { chunkKey } from '../src/keys.js';
import { loadBytes } from './support/images.js';
import { startMemcached, startVolleyNode, withCluster, withNodes } from './support/nodes.js';
import { ask, statOf } from './support/raw-client.js';
import { randomBytes } from './support/seed.js';

const test = suite('upload probes');

const CHUNK_BYTES = 4096;
const CHUNKS = 100;
/** More than an upload has on its way at a time, and than it asks for before it goes on without. */
const MANY = 8000;
const SHARED = 500;

const keyOf = (image: Buffer, chunk: number) =>
  chunkKey(contentDigest(image.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES)), 0);

async function exptime(port: number, key: string): Promise<string> {
  return (await ask(port, `mg ${key} t\r\n`, '\r\n')).toString('latin1').trim();
}

test('chunks are asked for once on a node that tells of removals, on others before and behind the manifest, too', async () => {
  await withNodes([() => startVolleyNode(), () => startMemcached()], async (volley, memcached) => {
    for (const [node, times] of [
      [volley!, 1],
      [memcached!, 3],
    ] as const) {
      await withCluster([node], async (cluster) => {
        const image = randomBytes(CHUNKS * CHUNK_BYTES);
        await cluster.upload(image, { name: 'a', chunkBytes: CHUNK_BYTES });
        assert.is(await statOf(node.port, 'cmd_touch'), times * CHUNKS);
        await cluster.upload(image, { name: 'b', chunkBytes: CHUNK_BYTES });
        assert.is(await statOf(node.port, 'cmd_touch'), 2 * times * CHUNKS);
      });
    }
  });
});

test('chunks go unasked for to a node that lacked all before them, and what it has all the same is counted and renewed', async () => {
  await withNodes([() => startVolleyNode(), () => startMemcached()], async (...nodes) => {
    for (const node of nodes) {
      await withCluster([node!], async (cluster) => {
        const shared = randomBytes(SHARED * CHUNK_BYTES);
        await cluster.upload(shared, { name: 'shared', chunkBytes: CHUNK_BYTES });
        await ask(node!.port, `touch ${keyOf(shared, 7)} 1000\r\n`, '\r\n');
        assert.match(await exptime(node!.port, keyOf(shared, 7)), /^HD t(1000|999|99\d)$/);
        const touches = await statOf(node!.port, 'cmd_touch');

        const image = Buffer.concat([randomBytes(MANY * CHUNK_BYTES), shared]);
        const report = await cluster.upload(image, { name: 'image', chunkBytes: CHUNK_BYTES });
        assert.equal([report.sentChunks, report.presentChunks], [MANY, SHARED]);
        assert.is(await exptime(node!.port, keyOf(shared, 7)), 'HD t-1');
        if (node === nodes[0]) assert.ok((await statOf(node!.port, 'cmd_touch')) - touches < MANY);
        assert.ok((await loadBytes(cluster, 'image')).bytes.equals(image));
      });
    }
  });
});

test('a node counts as removals what takes items away that were to stay, and nothing else', async () => {
  await withNodes([() => startVolleyNode()], async (node) => {
    const { port } = node!;
    const removals = async () => {
      const told = (await ask(port, 'stats volley\r\n', 'END\r\n')).toString('latin1');
      return Number(/STAT removals (\d+)/.exec(told)![1]);
    };
    const grows = async (...requests: string[]) => {
      const before = await removals();
      for (const request of requests) await ask(port, `${request}\r\n`, '\r\n');
      return (await removals()) - before;
    };
    assert.is(
      await grows('set a 0 0 1\r\nx', 'get a', 'touch a 0', 'set a 0 0 2\r\nxy', 'add a 0 0 1\r\nz'),
      0,
    );
    assert.is(await grows('touch a 100'), 1);
    assert.is(await grows('delete a'), 0);
    assert.is(await grows('set a 0 0 1\r\nx', 'delete a'), 1);
    assert.is(await grows('set a 0 100 1\r\nx'), 1);
    assert.is(await grows('set a 0 0 1\r\nx'), 0);
    assert.ok((await grows('flush_all')) > 0);
  });
});

test.run();
