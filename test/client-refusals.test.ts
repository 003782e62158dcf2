import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster } from '../client/index.js';
import { temporaryFile } from './support/auth-file.js';
import { runCli } from './support/cli.js';
import { loadBytes, randomImage } from './support/images.js';
import { startMemcached, startVolleyNode, type TestNode, withCluster, withNodes } from './support/nodes.js';
import { rejects } from './support/rejection.js';

const test = suite('client refusals');
/** memcached cannot have fewer, for its own descriptors count. */
const LIMIT = 40;

/** Connects until the node takes no more, does the work, lets go. */
async function withFullNode(node: TestNode, work: () => Promise<void>): Promise<void> {
  const sockets: Socket[] = [];
  let isFull = false;
  try {
    while (!isFull && sockets.length < 2 * LIMIT) {
      const socket = connect(node.port, '127.0.0.1');
      sockets.push(socket);
      socket.on('error', () => {});
      socket.on('data', () => {
        isFull = true;
      });
      await once(socket, 'connect');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.ok(isFull);
    await work();
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

const starts = [() => startMemcached('-c', String(LIMIT)), () => startVolleyNode('-c', String(LIMIT))];

test('a node at its connection limit is called full, and how to raise the limit is told', async () => {
  await withNodes(starts, async (...nodes) => {
    for (const node of nodes) {
      const file = randomImage(3);
      await withCluster([node], (cluster) => cluster.upload(file, { name: 'a' }).then(() => {}));
      await withCluster([node], async (cluster) => {
        await withFullNode(node, async () => {
          const connecting = Cluster.connect({ nodes: [node.name] });
          await rejects(connecting, 'ERR_VOLLEY_NODE_BUSY', node.name, 'takes no more connections', '-c');
          // The text connections of a client that is connected already.
          const uploading = cluster.upload(randomImage(3), { name: 'b' });
          await rejects(uploading, 'ERR_VOLLEY_NODE_BUSY', node.name, '-c');
        });
        assert.ok((await loadBytes(cluster, 'a')).bytes.equals(file));
      });
      await withCluster(
        [node],
        async (cluster) => {
          await withFullNode(node, async () => {
            await rejects(loadBytes(cluster, 'a'), 'ERR_VOLLEY_NODE_BUSY', node.name, '-c');
          });
        },
        { transport: 'tcp' },
      );
    }
  });
});

test('doctor and stats tell of a node that is full, not that it is down', async () => {
  await withNodes([starts[0]!], async (node) => {
    await withFullNode(node!, async () => {
      for (const command of ['stats', 'doctor']) {
        const { stdout, stderr } = await runCli([command, '--nodes', node!.name]);
        assert.match(stdout + stderr, /takes no more connections/, command);
        assert.not.match(stdout + stderr, /is down/, command);
      }
    });
  });
});

test('a user who may only read is told so by whatever changes something, and may read', async () => {
  const file = temporaryFile('writer:w\nreader:r read\n');
  await withNodes([() => startVolleyNode('--auth-file', file)], async (node) => {
    const content = randomImage(5);
    const writer = { credentials: { user: 'writer', password: 'w' } };
    await withCluster([node!], (cluster) => cluster.upload(content, { name: 'a' }).then(() => {}), writer);
    const reader = { credentials: { user: 'reader', password: 'r' } };
    await withCluster(
      [node!],
      async (cluster) => {
        assert.ok((await loadBytes(cluster, 'a')).bytes.equals(content));
        assert.is((await cluster.images()).length, 1);
        const words = [node!.name, 'may only read', 'user'] as const;
        await rejects(cluster.upload(randomImage(5), { name: 'b' }), 'ERR_VOLLEY_AUTH', ...words);
        await rejects(cluster.upload(Buffer.alloc(10), { name: 'b' }), 'ERR_VOLLEY_AUTH', ...words);
        await rejects(cluster.remove('a'), 'ERR_VOLLEY_AUTH', ...words);
        assert.ok((await loadBytes(cluster, 'a')).bytes.equals(content));
      },
      reader,
    );
  });
});

test('a memcached without an LRU crawler is told how to list, and is loaded from as ever', async () => {
  await withNodes([() => startMemcached('-o', 'no_lru_crawler')], async (node) => {
    await withCluster([node!], async (cluster) => {
      const content = randomImage(5);
      await cluster.upload(content, { name: 'a' });
      assert.ok((await loadBytes(cluster, 'a')).bytes.equals(content));
      await rejects(
        cluster.images(),
        'ERR_VOLLEY_PROTOCOL',
        node!.name,
        'no_lru_crawler',
        'lru_crawler enable',
      );
    });
  });
});

test.run();
