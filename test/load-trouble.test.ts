import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster } from '../client/index.js';
import { contentDigest } from '../src/digest.js';
import { chunkKey, manifestKey } from '../src/keys.js';
import { CHUNK_BYTES, loadBytes, randomImage } from './support/images.js';
import { startMemcached, startVolleyNode, withCluster, withNodes } from './support/nodes.js';
import { deleteItem, getItem, setItem } from './support/raw-client.js';
import { rejects } from './support/rejection.js';
import { TrafficProxy } from './support/traffic-proxy.js';

const test = suite('load trouble');
const TIMEOUT_MS = 400;

function keyOfChunk(content: Buffer, chunk: number): string {
  return chunkKey(contentDigest(content.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES)));
}

const TRANSPORTS = [
  ['tcp from memcached', () => startMemcached()],
  ['local', () => startVolleyNode()],
] as const;

for (const [transport, start] of TRANSPORTS) {
  test(`${transport}: a chunk whose bytes were changed behind the table's back is told of, and is no image`, async () => {
    await withNodes([start], async (node) => {
      await withCluster([node!], async (cluster) => {
        const content = randomImage(30);
        await cluster.upload(content, { name: 'an image' });
        await setItem(node!.port, keyOfChunk(content, 17), randomImage(1));
        await rejects(
          loadBytes(cluster, 'an image'),
          'ERR_VOLLEY_CHUNK',
          '"an image"',
          'chunk 17 of 30',
          node!.name,
          'checksum',
        );
        await setItem(node!.port, keyOfChunk(content, 17), Buffer.from('short'));
        await rejects(
          loadBytes(cluster, 'an image'),
          'ERR_VOLLEY_CHUNK',
          'chunk 17 of 30',
          node!.name,
          'length',
        );
        await deleteItem(node!.port, keyOfChunk(content, 17));
        await deleteItem(node!.port, keyOfChunk(content, 3));
        await rejects(loadBytes(cluster, 'an image'), 'ERR_VOLLEY_CHUNK', 'chunk 3 of 30', '1 more chunks');
        const image = await cluster.open('an image');
        await rejects(cluster.read(image, 17 * CHUNK_BYTES, 1), 'ERR_VOLLEY_CHUNK', 'chunk 17 of 30');
      });
    });
  });

  test(`${transport}: uploading the image again mends it`, async () => {
    await withNodes([start], async (node) => {
      await withCluster([node!], async (cluster) => {
        const content = randomImage(30);
        await cluster.upload(content, { name: 'a' });
        await deleteItem(node!.port, keyOfChunk(content, 17));
        assert.is((await cluster.upload(content, { name: 'a' })).sentChunks, 1);
        assert.ok((await loadBytes(cluster, 'a')).bytes.equals(content));
      });
    });
  });
}

test('an image that is not there is told of', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    await withCluster([node!], async (cluster) => {
      await rejects(cluster.open('nope'), 'ERR_VOLLEY_NOT_FOUND', '"nope"', 'volley images');
    });
  });
});

test('a node that is killed in mid-load over tcp ends it with an error that names image, chunk and node', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    await TrafficProxy.use(node!.port, async (proxy) => {
      await withCluster([proxy], async (cluster) => {
        await cluster.upload(randomImage(600), { name: 'a' });
        const image = await cluster.open('a');
        const before = proxy.fromNode;
        proxy.onTraffic = (_, fromNode) => {
          if (fromNode - before > 2_000_000) node!.process.signal('SIGKILL');
        };
        await rejects(
          cluster.read(image, 0, image.imageBytes),
          'ERR_VOLLEY_NODE_DOWN',
          '"a"',
          'chunk',
          proxy.name,
        );
      });
    });
  });
});

test('a load whose bytes come slowly but steadily takes as long as it takes', async () => {
  await withNodes([() => startVolleyNode()], async (node) => {
    await TrafficProxy.use(node!.port, async (proxy) => {
      const content = randomImage(150);
      await withCluster([node!], async (cluster) => {
        await cluster.upload(content, { name: 'a' });
      });
      const timeoutMs = 1000;
      const work = async (cluster: Cluster) => {
        // At most 64 KiB at a time: 75 times that, three times the deadline.
        proxy.onTraffic = () => sleep(40);
        const startMs = performance.now();
        assert.ok((await loadBytes(cluster, 'a')).bytes.equals(content));
        assert.ok(performance.now() - startMs > 2 * timeoutMs, 'it is slow enough to tell');
      };
      await withCluster([proxy], work, { transport: 'tcp', timeoutMs });
    });
  });
});

test('a node that is stopped in mid-load over tcp ends it after the deadline that the client was connected with', async () => {
  await withNodes([() => startVolleyNode()], async (node) => {
    await TrafficProxy.use(node!.port, async (proxy) => {
      // However slow the machine is, the upload is done.
      await withCluster([proxy], async (cluster) => {
        await cluster.upload(randomImage(600), { name: 'a' });
      });
      const options = { transport: 'tcp', timeoutMs: TIMEOUT_MS } as const;
      await withCluster(
        [proxy],
        async (cluster) => {
          const before = proxy.fromNode;
          proxy.onTraffic = (_, fromNode) => {
            if (fromNode - before > 2_000_000) node!.process.signal('SIGSTOP');
          };
          const startMs = performance.now();
          const load = loadBytes(cluster, 'a');
          await rejects(load, 'ERR_VOLLEY_TIMEOUT', '"a"', 'chunk', proxy.name);
          assert.ok(performance.now() - startMs < TIMEOUT_MS + 1500);
        },
        options,
      );
    });
  });
});

for (const name of ['SIGKILL', 'SIGSTOP'] as const) {
  test(`local: after a ${name} of the node its memory can still be read`, async () => {
    await withNodes([() => startVolleyNode()], async (node) => {
      await withCluster([node!], async (cluster) => {
        const content = randomImage(50);
        await cluster.upload(content, { name: 'a' });
        const image = await cluster.open('a');
        node!.process.signal(name);
        const bytes = await cluster.read(image, 0, image.imageBytes);
        assert.ok(bytes.equals(content));
      });
    });
  });
}

test('chunks that local cannot bring come over tcp from the same node', async () => {
  await withNodes([() => startVolleyNode()], async (node) => {
    const content = randomImage(40);
    await withCluster([node!], async (cluster) => {
      // The node starts anew on its port: the client's mapping shows the old node's memory, tcp leads to the new one.
      await node!.process.kill();
      await withNodes([() => startVolleyNode('-p', String(node!.port))], async (renewed) => {
        await withCluster([renewed!], async (other) => {
          await other.upload(content, { name: 'a' });
        });
        const { bytes, report } = await loadBytes(cluster, 'a');
        assert.ok(bytes.equals(content));
        assert.is(report.nodes[0]!.transport, 'local');
        assert.is(report.nodes[0]!.fallbackChunks, 40);
        assert.is(report.nodes[0]!.chunks, 40);
      });
    });
  });
});

test('a load that is aborted ends with an error, and nothing touches the destination any more', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    await TrafficProxy.use(node!.port, async (proxy) => {
      await withCluster([proxy], async (cluster) => {
        await cluster.upload(randomImage(300), { name: 'a' });
        const controller = new AbortController();
        const before = proxy.fromNode;
        proxy.onTraffic = (_, fromNode) => {
          if (fromNode - before > 2_000_000) controller.abort();
        };
        await rejects(loadBytes(cluster, 'a', { signal: controller.signal }), 'ERR_VOLLEY_ABORTED');
        await rejects(loadBytes(cluster, 'a', { signal: controller.signal }), 'ERR_VOLLEY_ABORTED');
      });
    });
  });
});

test("a manifest that is truncated, or another image's, is refused with image and node", async () => {
  await withNodes([() => startMemcached()], async (node) => {
    await withCluster([node!], async (cluster) => {
      await cluster.upload(randomImage(30), { name: 'a' });
      const root = (await getItem(node!.port, manifestKey('a')))!;
      const bad = [
        Buffer.alloc(0),
        root.subarray(0, 100),
        Buffer.concat([root, root]),
        Buffer.alloc(300_000, 0x41),
      ];
      for (const bytes of bad) {
        await setItem(node!.port, manifestKey('a'), bytes);
        await rejects(cluster.open('a'), 'ERR_VOLLEY_MANIFEST', '"a"', node!.name);
      }
      await setItem(node!.port, manifestKey('b'), root);
      await rejects(cluster.open('b'), 'ERR_VOLLEY_MANIFEST', '"b"', node!.name, 'another name');
    });
  });
});

test('a manifest whose body has lost a piece, or has a changed one, is refused with image and node', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    await withCluster([node!], async (cluster) => {
      await cluster.upload(randomImage(100), { name: 'a', chunkBytes: 4096 });
      const root = (await getItem(node!.port, manifestKey('a')))!;
      const piece = chunkKey(root.subarray(72));
      const body = (await getItem(node!.port, piece))!;
      await setItem(node!.port, piece, Buffer.concat([body.subarray(1), Buffer.from('x')]));
      await rejects(cluster.open('a'), 'ERR_VOLLEY_MANIFEST', '"a"', node!.name, 'body');
      await deleteItem(node!.port, piece);
      await rejects(cluster.open('a'), 'ERR_VOLLEY_MANIFEST', '"a"', node!.name, 'body');
    });
  });
});

test.run();
