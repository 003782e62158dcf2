import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster } from '../client/index.js';
import { nodeListKey } from '../src/keys.js';
import { runCli } from './support/cli.js';
import { loadBytes, randomImage } from './support/images.js';
import { startMemcached, startVolleyNode, type TestNode, withCluster, withNodes } from './support/nodes.js';
import { deleteItem, setItem } from './support/raw-client.js';
import { rejects } from './support/rejection.js';

const test = suite('node lists');
const volley = () => startVolleyNode('--fabric', 'off');
const memcached = () => startMemcached();

/** The node under another name. */
function renamed({ port }: TestNode, host = 'localhost'): { name: string } {
  return { name: `${host}:${port}` };
}

/** Stores images of equal content under names until one's manifest stands on the node. Returns the names. */
async function storeUntilOn(cluster: Cluster, node: TestNode, content: Buffer): Promise<string[]> {
  const names: string[] = [];
  for (let i = 0; i < 40; i++) {
    names.push(`image ${i}`);
    await cluster.upload(content, { name: names[i]! });
    const images = await cluster.images();
    if (images.some((image) => image.node === node.name)) return names;
  }
  throw new Error(`no manifest came to ${node.name}`);
}

async function assertWhole(cluster: Cluster, names: readonly string[], content: Buffer): Promise<void> {
  for (const name of names) assert.ok((await loadBytes(cluster, name)).bytes.equals(content), name);
  assert.ok((await cluster.images()).every(({ missingChunks }) => missingChunks === 0));
}

for (const [kind, start] of [
  ['memcached', memcached],
  ['Volley nodes', volley],
] as const) {
  test(`${kind}: a node list that lacks a node removes no chunk and names that node`, async () => {
    await withNodes([start, start, start], async (...nodes) => {
      const content = randomImage(12, 5);
      await withCluster(nodes, async (cluster) => {
        const names = await storeUntilOn(cluster, nodes[2]!, content);
        await withCluster(nodes.slice(0, 2), async (short) => {
          for (const { name } of await short.images()) {
            await rejects(short.remove(name!), 'ERR_VOLLEY_NODE_LIST', `lacks ${nodes[2]!.name}`);
          }
          await rejects(short.removeOrphans(0), 'ERR_VOLLEY_NODE_LIST', `lacks ${nodes[2]!.name}`);
          // What it stores itself goes, its chunks stay.
          await short.upload(randomImage(3, 9), { name: 'own' });
          const { removedChunks, keptReason } = await short.remove('own');
          assert.is(removedChunks, 0);
          assert.match(keptReason!, `lacks ${nodes[2]!.name}`);
        });
        await assertWhole(cluster, names, content);
      });
    });
  });

  test(`${kind}: a list whose nodes show no image at all removes no chunk of the images elsewhere`, async () => {
    await withNodes([start, start], async (...nodes) => {
      const content = randomImage(12, 5);
      await withCluster(nodes, async (cluster) => {
        const names = await storeUntilOn(cluster, nodes[1]!, content);
        const ofFirst = (await cluster.images()).filter(({ node }) => node === nodes[0]!.name);
        for (const { name } of ofFirst) await cluster.remove(name!);
        const left = names.filter((name) => !ofFirst.some((one) => one.name === name));
        await withCluster([nodes[0]!], async (short) => {
          assert.equal(await short.images(), []);
          await rejects(short.removeOrphans(0), 'ERR_VOLLEY_NODE_LIST', `lacks ${nodes[1]!.name}`);
          await rejects(short.open(left[0]!), 'ERR_VOLLEY_NOT_FOUND', `lacks ${nodes[1]!.name}`);
        });
        await assertWhole(cluster, left, content);
      });
    });
  });

  test(`${kind}: nodes that are spelled otherwise are recognised; images load, and are not removed`, async () => {
    await withNodes([start, start, start], async (...nodes) => {
      const content = randomImage(30, 5);
      await withCluster(nodes, (cluster) => cluster.upload(content, { name: 'x' }).then(() => {}));
      await withCluster(
        nodes.map((node) => renamed(node)),
        async (other) => {
          await assertWhole(other, ['x'], content);
          const spelled = `spells ${[...nodes].sort((a, b) => (a.name < b.name ? -1 : 1))[0]!.name} as localhost:`;
          assert.match((await other.images())[0]!.nodeListDifference!, spelled);
          assert.match((await loadBytes(other, 'x')).report.nodeListDifference!, spelled);
          await rejects(other.remove('x'), 'ERR_VOLLEY_NODE_LIST', spelled);
          await rejects(other.removeOrphans(0), 'ERR_VOLLEY_NODE_LIST', spelled);
          // The image that replaces it is the only one, and the first one's chunks that are not of it are nobody's.
          const next = randomImage(30, 6);
          assert.is((await other.upload(next, { name: 'x' })).replaced, true);
          assert.is((await other.removeOrphans(0)).removedChunks, 30);
          await withCluster(nodes, (cluster) => assertWhole(cluster, ['x'], next));
          await other.remove('x');
          await rejects(other.open('x'), 'ERR_VOLLEY_NOT_FOUND');
        },
      );
    });
  });
}

test('an image of a node list with fewer nodes loads, large manifest and all', async () => {
  await withNodes([volley, memcached, volley], async (...nodes) => {
    const content = randomImage(120, 5);
    await withCluster(nodes.slice(0, 2), (two) =>
      two.upload(content, { name: 'x', chunkBytes: 4096 }).then(() => {}),
    );
    await withCluster(nodes, async (three) => {
      await assertWhole(three, ['x'], content);
      const image = await three.open('x');
      assert.ok((await three.read(image, 5000, 10_000)).equals(content.subarray(5000, 15_000)));
    });
  });
});

test('chunks that a node list lacks are explained by the difference of the lists', async () => {
  await withNodes([memcached, memcached, memcached], async (...nodes) => {
    await withCluster(nodes, async (cluster) => {
      await storeUntilOn(cluster, nodes[0]!, randomImage(30, 5));
      const { name } = (await cluster.images()).find(({ node }) => node === nodes[0]!.name)!;
      await withCluster(nodes.slice(0, 2), async (short) => {
        const words = `this node list lacks ${nodes[2]!.name}`;
        await rejects(loadBytes(short, name!), 'ERR_VOLLEY_CHUNK', words);
        const { stdout } = await runCli([
          'images',
          '--nodes',
          nodes
            .slice(0, 2)
            .map((node) => node.name)
            .join(),
        ]);
        assert.match(stdout, words);
        assert.match(stdout, 'or they are on other nodes');
      });
    });
  });
});

test('an image that lost chunks keeps those of others from being removed, until it is uploaded again or removed', async () => {
  await withNodes([volley, volley], async (...nodes) => {
    await withCluster(nodes, async (cluster) => {
      await cluster.upload(randomImage(10, 1), { name: 'torn' });
      await cluster.upload(randomImage(10, 2), { name: 'whole' });
      const { records } = await cluster.open('torn');
      const digest = Buffer.from(records.subarray(0, 16)).toString('hex');
      for (const { port } of nodes) await deleteItem(port, `volley:c:${digest}`);
      await rejects(cluster.removeOrphans(0), 'ERR_VOLLEY_NODE_LIST', '"torn"');
      const { removedChunks, keptReason } = await cluster.remove('whole');
      assert.is(removedChunks, 0);
      assert.match(keptReason!, 'chunks are missing of image "torn"');
      const torn = await cluster.remove('torn');
      assert.equal([torn.removedChunks, torn.missingChunks, torn.keptReason], [9, 1, null]);
      assert.is((await cluster.removeOrphans(0)).removedChunks, 10);
    });
  });
});

test('nodes that are gone for good are named once, then the others are cleared', async () => {
  await withNodes([volley, volley, volley], async (...nodes) => {
    await withCluster(nodes, async (cluster) => {
      await storeUntilOn(cluster, nodes[0]!, randomImage(30, 5));
      await cluster.upload(randomImage(5, 7), { name: 'image 0' });
    });
    const gone = nodes[2]!;
    await gone.process.kill();
    await withCluster(nodes.slice(0, 2), async (two) => {
      const options = { goneNodes: [gone.name] };
      for (const { name } of await two.images()) {
        await rejects(two.remove(name!), 'ERR_VOLLEY_NODE_LIST', `--gone ${gone.name}`);
        const { removedChunks, keptReason } = await two.remove(name!, undefined, options);
        assert.ok(removedChunks < 30);
        assert.is(keptReason, null);
      }
      await rejects(two.removeOrphans(0), 'ERR_VOLLEY_NODE_LIST', `lacks ${gone.name}`);
      await rejects(two.removeOrphans(0, undefined, { goneNodes: [nodes[0]!.name] }), 'ERR_VOLLEY_USAGE');
      await two.removeOrphans(0, undefined, options);
      assert.is((await two.removeOrphans(0)).removedChunks, 0);
    });
  });
});

test('a damaged record of a node list stops removals and is named', async () => {
  await withNodes([memcached, memcached], async (...nodes) => {
    await withCluster(nodes, async (cluster) => {
      await cluster.upload(randomImage(10, 1), { name: 'x' });
      const key = nodeListKey(['a:1', 'b:1']);
      await setItem(nodes[0]!.port, key, Buffer.from('garbage'));
      await rejects(cluster.removeOrphans(0), 'ERR_VOLLEY_NODE_LIST', key);
      assert.match((await cluster.remove('x')).keptReason!, key);
      await deleteItem(nodes[0]!.port, key);
      assert.is((await cluster.removeOrphans(0)).removedChunks, 10);
    });
  });
});

test('a list that names one node twice is refused, with both names', async () => {
  await withNodes([volley, memcached], async (...nodes) => {
    for (const node of nodes) {
      const twice = withCluster([node, renamed(node)], async () => {});
      await rejects(twice, 'ERR_VOLLEY_NODE_LIST', `${node.name} and localhost:${node.port} are the same`);
    }
  });
});

test.run();
