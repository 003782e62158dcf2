import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster } from '../client/index.js';
import { MANIFEST_KEY_PREFIX, manifestKey, NODE_LIST_KEY_PREFIX } from '../src/keys.js';
import { CHUNK_BYTES, loadBytes, randomImage } from './support/images.js';
import { startMemcached, startVolleyNode, type TestNode, withCluster, withNodes } from './support/nodes.js';
import { Peer } from './support/peer.js';
import { ask, setItem } from './support/raw-client.js';
import { rejects } from './support/rejection.js';

const test = suite('client images');

/** What rm sentenced is gone by then. */
const EXPIRY_MS = 6000;

/** Items on all nodes but the records of node lists: those that stay, and those that have an exptime and go by themselves. */
async function countItems(nodes: readonly TestNode[]): Promise<{ staying: number; going: number }> {
  const counts = { staying: 0, going: 0 };
  for (const { port } of nodes) {
    const isVolley = (await ask(port, 'stats\r\n', 'END\r\n')).includes('volley');
    const request = `lru_crawler metadump ${isVolley ? 'all' : 'hash'}\r\n`;
    const listing = (await ask(port, request, 'END\r\n')).toString('latin1');
    for (const [, key, exptime] of listing.matchAll(/^key=(\S+) exp=(\S+)/gm)) {
      if (decodeURIComponent(key!).startsWith(NODE_LIST_KEY_PREFIX)) continue;
      if (Number(exptime) > 0) counts.going++;
      else counts.staying++;
    }
  }
  return counts;
}

for (const [kind, start] of [
  ['memcached', () => startMemcached()],
  ['Volley nodes', () => startVolleyNode()],
] as const) {
  test(`${kind}: a listing is the union over the nodes, with all that the manifests tell`, async () => {
    await withNodes([start, start], async (...nodes) => {
      await withCluster(nodes, async (cluster) => {
        assert.equal(await cluster.images(), []);
        for (let i = 0; i < 12; i++)
          await cluster.upload(randomImage(1, i), { name: `image ${i}`, kind: 'kernel' });
        const images = await cluster.images();
        assert.is(images.length, 12);
        assert.is(new Set(images.map(({ node }) => node)).size, 2);
        const one = images.find(({ name }) => name === 'image 3')!;
        const { id } = await cluster.open('image 3');
        assert.ok(Math.abs(one.createdMs! - Date.now()) < 60_000);
        assert.is(one.key, manifestKey('image 3'));
        const { bytes, chunks, chunkBytes, kind, damaged } = one;
        assert.equal(
          { bytes, chunks, chunkBytes, kind, damaged, id: one.id },
          { bytes: CHUNK_BYTES - 3, chunks: 1, chunkBytes: CHUNK_BYTES, kind: 'kernel', damaged: null, id },
        );
      });
    });
  });

  test(`${kind}: removing an image frees its chunks, but not those that others share`, async () => {
    await withNodes([start, start], async (...nodes) => {
      await withCluster(nodes, async (cluster) => {
        const shared = randomImage(20);
        const one = Buffer.concat([randomImage(5), shared, Buffer.alloc(CHUNK_BYTES)]);
        const other = Buffer.concat([shared, randomImage(5)]);
        await cluster.upload(one, { name: 'one' });
        await cluster.upload(other, { name: 'other' });
        assert.equal(await cluster.remove('one'), {
          name: 'one',
          removedChunks: 5,
          removedBytes: 5 * CHUNK_BYTES,
          freedWithinSeconds: 3,
          sharedChunks: 20,
          missingChunks: 0,
          keptReason: null,
        });
        await rejects(cluster.open('one'), 'ERR_VOLLEY_NOT_FOUND');
        assert.ok((await loadBytes(cluster, 'other')).bytes.equals(other));
        await cluster.remove('other');
        assert.is((await countItems(nodes)).staying, 0);
        await rejects(cluster.remove('other'), 'ERR_VOLLEY_NOT_FOUND', '"other"');
        const deadline = performance.now() + EXPIRY_MS;
        while ((await countItems(nodes)).going > 0) {
          assert.ok(performance.now() < deadline, 'chunks are left');
          await sleep(100);
        }
      });
    });
  });
}

test('the pieces of a large manifest go with the last image that has them', async () => {
  await withNodes([() => startMemcached()], async (...nodes) => {
    await withCluster(nodes, async (cluster) => {
      const content = randomImage(120);
      await cluster.upload(content, { name: 'one', chunkBytes: 4096 });
      await cluster.upload(content, { name: 'other', chunkBytes: 4096 });
      assert.is((await cluster.remove('one')).sharedChunks, 960);
      assert.ok((await loadBytes(cluster, 'other')).bytes.equals(content));
      assert.is((await cluster.remove('other')).removedChunks, 960);
      assert.is((await countItems(nodes)).staying, 0);
    });
  });
});

test('a listing misses no image while memcached moves its items about', async () => {
  await withNodes([() => startMemcached()], async (...nodes) => {
    await withCluster(nodes, async (cluster) => {
      for (let i = 0; i < 20; i++) await cluster.upload(randomImage(1), { name: `image ${i}` });
      for (let round = 0; round < 60; round++) {
        await cluster.open(`image ${round % 20}`);
        assert.is((await cluster.images()).length, 20, `round ${round}`);
      }
    });
  });
});

test('a damaged manifest is listed, and keeps chunks from being removed until it is removed itself', async () => {
  await withNodes([() => startMemcached()], async (...nodes) => {
    await withCluster(nodes, async (cluster) => {
      await cluster.upload(randomImage(3), { name: 'good' });
      const garbageKey = `${MANIFEST_KEY_PREFIX}${'0'.repeat(32)}`;
      await setItem(nodes[0]!.port, garbageKey, Buffer.from('garbage'));
      const damaged = (await cluster.images()).find(({ key }) => key === garbageKey)!;
      assert.is(damaged.name, null);
      assert.match(damaged.damaged!, /cut off at 7 bytes/);

      await rejects(cluster.removeOrphans(0), 'ERR_VOLLEY_MANIFEST', '1 images are damaged');
      const report = await cluster.remove('good');
      assert.is(report.removedChunks, 0);
      assert.match(report.keptReason!, /1 other images are damaged/);

      assert.match((await cluster.remove(garbageKey)).keptReason!, /its manifest is damaged/);
      assert.equal(await cluster.images(), []);
      assert.is((await cluster.removeOrphans(0)).removedChunks, 3);
      assert.is((await countItems(nodes)).staying, 0);
    });
  });
});

test('orphans are removed, but not those that were touched lately nor what images use', async () => {
  for (const start of [() => startMemcached(), () => startVolleyNode()]) {
    await withNodes([start, start], async (...nodes) => {
      await withCluster(nodes, async (cluster) => {
        const kept = randomImage(10);
        await cluster.upload(Buffer.concat([kept, randomImage(10)]), { name: 'a' });
        await cluster.upload(kept, { name: 'a' });
        await setItem(nodes[0]!.port, 'another:application', Buffer.from('is not touched'));
        const careful = await cluster.removeOrphans(3600);
        assert.is(careful.removedChunks, 0);
        assert.is(careful.youngChunks, 10);
        const report = await cluster.removeOrphans(0);
        assert.is(report.removedChunks, 10);
        assert.is(report.youngChunks, 0);
        assert.is((await countItems(nodes)).staying, 12);
        assert.ok((await loadBytes(cluster, 'a')).bytes.equals(kept));
      });
    });
  }
});

test('an image that was stored with another node list is read where it lies, and listed with the difference', async () => {
  await withNodes([() => startMemcached(), () => startMemcached()], async (...nodes) => {
    await withCluster(nodes, async (cluster) => {
      const names = Array.from({ length: 12 }, (_, i) => `image ${i}`);
      for (const name of names) await cluster.upload(Buffer.from('x'), { name });
      const ofSecond = (await cluster.images()).find(({ node }) => node === nodes[1]!.name)!.name!;
      for (const name of names) await cluster.remove(name);

      await withCluster([nodes[0]!], async (narrow) => {
        await narrow.upload(Buffer.from('x'), { name: ofSecond });
      });
      const [image] = await cluster.images();
      assert.is(image!.name, ofSecond);
      assert.is(image!.node, nodes[0]!.name);
      assert.equal([image!.damaged, image!.missingChunks, image!.nodes], [null, 0, [nodes[0]!.name]]);
      assert.match(
        image!.nodeListDifference!,
        `${nodes[0]!.name}; this node list has ${nodes[1]!.name} besides`,
      );
      assert.is((await loadBytes(cluster, ofSecond)).bytes.toString(), 'x');
      await rejects(cluster.removeOrphans(0), 'ERR_VOLLEY_NODE_LIST', 'besides');
      await rejects(cluster.remove(ofSecond), 'ERR_VOLLEY_NODE_LIST', 'its own node list');

      await cluster.upload(Buffer.from('y'), { name: ofSecond });
      const [mended, ...more] = await cluster.images();
      assert.is(mended!.damaged, null);
      assert.equal(more, []);
    });
  });
});

for (const [what, answer, words] of [
  ['cannot list', 'ERROR\r\n', 'cannot list its items'],
  ['is busy with another listing for ever', 'BUSY currently processing crawler request\r\n', 'it is busy'],
  ['closes instead of listing', null, 'it closed the connection'],
  ['begins a line that never ends', 'k'.repeat(100_000), 'is it a memcached'],
] as const) {
  test(`a node that ${what} is named within the deadline`, async () => {
    await withNodes([() => startMemcached()], async (node) => {
      const onConnection = (client: Socket) => answerListings(client, node!.port, answer);
      await Peer.use(onConnection, async (peer) => {
        const images = async (cluster: Cluster) => {
          const error = await cluster.images().catch((reason) => reason);
          assert.match(error.message, words);
          assert.match(error.message, peer.name);
        };
        await withCluster([peer], images, { timeoutMs: 300 });
      });
    });
  });
}

/** Passes the binary protocol on to a memcached and answers every text command itself; null closes. */
function answerListings(client: Socket, port: number, answer: string | null): void {
  client.once('data', (first) => {
    if (first[0] === 0x80) {
      const node = connect(port, '127.0.0.1');
      node.on('error', () => {});
      node.write(first);
      client.pipe(node).pipe(client);
      return;
    }
    if (answer === null) {
      client.destroy();
      return;
    }
    client.write(answer);
    client.on('data', () => client.write(answer));
  });
}

test.run();
