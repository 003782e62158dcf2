import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { contentDigest } from '../src/digest.js';
import { chunkKey } from '../src/keys.js';
import { CHUNK_BYTES, loadBytes, randomImage } from './support/images.js';
import { startMemcached, startVolleyNode, type TestNode, withCluster, withNodes } from './support/nodes.js';
import { deleteItem, setItem } from './support/raw-client.js';
import { rejects } from './support/rejection.js';
import { TrafficProxy } from './support/traffic-proxy.js';

const test = suite('upload trouble');
const MB = 1_000_000;
const TIMEOUT_MS = 400;

/** A node behind a proxy. */
async function withProxy(
  start: () => Promise<TestNode>,
  work: (node: TestNode, proxy: TrafficProxy) => Promise<void>,
): Promise<void> {
  await withNodes([start], async (node) => {
    await TrafficProxy.use(node!.port, (proxy) => work(node!, proxy));
  });
}

for (const start of [() => startMemcached(), () => startVolleyNode()]) {
  test('a node that is killed in mid-upload ends it with an error that names the node', async () => {
    await withProxy(start, async (node, proxy) => {
      await withCluster([proxy], async (cluster) => {
        proxy.onTraffic = (toNode) => {
          if (toNode > 2 * MB) node.process.signal('SIGKILL');
        };
        await rejects(cluster.upload(randomImage(300), { name: 'a' }), 'ERR_VOLLEY_NODE_DOWN', proxy.name);
      });
    });
  });

  test('a node that is stopped in mid-upload ends it after the deadline', async () => {
    await withProxy(start, async (node, proxy) => {
      await withCluster(
        [proxy],
        async (cluster) => {
          proxy.onTraffic = (toNode) => {
            if (toNode > 2 * MB) node.process.signal('SIGSTOP');
          };
          const startMs = performance.now();
          await rejects(cluster.upload(randomImage(600), { name: 'a' }), 'ERR_VOLLEY_TIMEOUT', proxy.name);
          assert.ok(performance.now() - startMs < TIMEOUT_MS + 1500);
        },
        { timeoutMs: TIMEOUT_MS },
      );
    });
  });
}

test('an upload that was interrupted sends only what is missing when it is run again', async () => {
  await withProxy(
    () => startMemcached(),
    async (_, proxy) => {
      await withCluster([proxy], async (cluster) => {
        const content = randomImage(300);
        const controller = new AbortController();
        proxy.onTraffic = (toNode) => {
          if (toNode > 4 * MB) controller.abort();
        };
        const { signal } = controller;
        await rejects(cluster.upload(content, { name: 'a', signal }), 'ERR_VOLLEY_ABORTED');
        await rejects(cluster.open('a'), 'ERR_VOLLEY_NOT_FOUND', 'a');
        proxy.onTraffic = () => {};
        const report = await cluster.upload(content, { name: 'a' });
        assert.ok(report.presentChunks > 60, String(report.presentChunks));
        assert.is(report.presentChunks + report.sentChunks, 300);
        assert.ok((await loadBytes(cluster, 'a')).bytes.equals(content));
      });
    },
  );
});

test('an upload that is aborted before it begins does nothing, a stalled stream does not hold one up', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    await withCluster([node!], async (cluster) => {
      await rejects(
        cluster.upload(randomImage(1), { name: 'a', signal: AbortSignal.abort() }),
        'ERR_VOLLEY_ABORTED',
      );
      const stalled = new Readable({ read() {} });
      stalled.push(randomImage(2));
      const signal = AbortSignal.timeout(100);
      await rejects(cluster.upload(stalled, { name: 'a', signal }), 'ERR_VOLLEY_ABORTED');
      assert.ok(stalled.destroyed);
    });
  });
});

test('of two uploads of one name at once, one wins whole', async () => {
  await withNodes([() => startMemcached(), () => startMemcached()], async (...nodes) => {
    await withCluster(nodes, async (one) => {
      await withCluster(nodes, async (other) => {
        const contents = [randomImage(150), randomImage(170)];
        for (let round = 0; round < 3; round++) {
          await Promise.all([
            one.upload(contents[0]!, { name: 'a' }),
            other.upload(contents[1]!, { name: 'a' }),
          ]);
          const { bytes } = await loadBytes(one, 'a');
          assert.ok(contents.some((content) => bytes.equals(content)));
        }
      });
    });
  });
});

for (const [kind, start] of [
  ['memcached -M', () => startMemcached('-M', '-m', '8')],
  ['a Volley node', () => startVolleyNode('-m', '8')],
] as const) {
  test(`${kind} that is full refuses an image, and the older image of that name stays whole`, async () => {
    await withNodes([start], async (node) => {
      await withCluster([node!], async (cluster) => {
        const small = randomImage(20);
        await cluster.upload(small, { name: 'a' });
        await rejects(
          cluster.upload(randomImage(600), { name: 'a' }),
          'ERR_VOLLEY_NODE_FULL',
          node!.name,
          '-m',
        );
        assert.ok((await loadBytes(cluster, 'a')).bytes.equals(small));
      });
    });
  });
}

test('an upload right after rm on a full Volley node waits for the memory', async () => {
  await withNodes([() => startVolleyNode('-m', '8')], async (node) => {
    await withCluster([node!], async (cluster) => {
      await cluster.upload(randomImage(220), { name: 'old' });
      await cluster.remove('old');
      const content = randomImage(220);
      await cluster.upload(content, { name: 'new' });
      assert.ok((await loadBytes(cluster, 'new')).bytes.equals(content));
    });
  });
});

for (const [kind, start] of [
  ['memcached', () => startMemcached()],
  ['a Volley node', () => startVolleyNode()],
] as const) {
  test(`${kind}: a corrupt chunk of two images heals when one of them is uploaded again with resend`, async () => {
    await withNodes([start], async (node) => {
      await withCluster([node!], async (cluster) => {
        const shared = randomImage(5);
        const contents = { a: Buffer.concat([shared, randomImage(2)]), b: shared };
        for (const [name, content] of Object.entries(contents)) await cluster.upload(content, { name });
        const key = chunkKey(contentDigest(shared.subarray(0, CHUNK_BYTES)), 0);
        await setItem(node!.port, key, randomImage(1));
        await rejects(loadBytes(cluster, 'a'), 'ERR_VOLLEY_CHUNK', 'checksum', '--resend');
        await setItem(node!.port, key, Buffer.from('short'));
        const error = await rejects(loadBytes(cluster, 'a'), 'ERR_VOLLEY_CHUNK', 'length', '--resend');
        assert.not.match(error.message, 'more chunks');
        assert.is((await cluster.upload(contents.b, { name: 'b' })).presentChunks, 5);
        const report = await cluster.upload(contents.b, { name: 'b', resend: true });
        assert.equal([report.presentChunks, report.sentChunks], [0, 5]);
        for (const [name, content] of Object.entries(contents))
          assert.ok((await loadBytes(cluster, name)).bytes.equals(content));
      });
    });
  });
}

test('a full memcached that cannot take a chunk once more keeps the one it has', async () => {
  await withNodes([() => startMemcached('-M', '-m', '8')], async (node) => {
    await withCluster([node!], async (cluster) => {
      const content = randomImage(20);
      await cluster.upload(content, { name: 'a' });
      await rejects(
        cluster.upload(randomImage(600), { name: 'b', checkRoom: false }),
        'ERR_VOLLEY_NODE_FULL',
      );
      await rejects(cluster.upload(content, { name: 'a', resend: true }), 'ERR_VOLLEY_NODE_FULL');
      assert.ok((await loadBytes(cluster, 'a')).bytes.equals(content));
    });
  });
});

test('a memcached that evicts is found out before the image is told to be there', async () => {
  await withNodes([() => startMemcached('-m', '8')], async (node) => {
    await withCluster([node!], async (cluster) => {
      await rejects(
        cluster.upload(randomImage(600), { name: 'big' }),
        'ERR_VOLLEY_CHUNK',
        '"big"',
        node!.name,
        '-m',
      );
      await rejects(cluster.open('big'), 'ERR_VOLLEY_NOT_FOUND');
    });
  });
});

test('chunks above the item limit of a node are refused with what to do', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    await withCluster([node!], async (cluster) => {
      const upload = cluster.upload(randomImage(64), { name: 'a', chunkBytes: 2 ** 20 });
      await rejects(upload, 'ERR_VOLLEY_TOO_LARGE', node!.name, '1048576', '-I');
    });
  });
});

test('a source that cannot be read, fails, gives no bytes or changes is told of, and nothing is stored', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  const path = join(folder, 'disk');
  writeFileSync(path, randomImage(50));
  try {
    await withNodes([() => startMemcached()], async (node) => {
      await withCluster([node!], async (cluster) => {
        const upload = (source: string | Readable, onProgress = () => {}) =>
          cluster.upload(source, { name: 'a', onProgress });
        await rejects(upload(join(folder, 'none')), 'ERR_VOLLEY_FILE', 'none', 'no such file');
        await rejects(upload(folder), 'ERR_VOLLEY_FILE', 'directory');
        await rejects(upload(Readable.from(['text'])), 'ERR_VOLLEY_USAGE', 'bytes');
        const broken = new Readable({ read: () => broken.destroy(new Error('the pipe broke')) });
        await rejects(upload(broken), 'ERR_VOLLEY_FILE', 'the pipe broke');
        const touch = () => utimesSync(path, 1, 1);
        await rejects(upload(path, touch), 'ERR_VOLLEY_FILE', 'changed while it was read');
        await rejects(
          upload(path, () => writeFileSync(path, '')),
          'ERR_VOLLEY_FILE',
          path,
        );
        await rejects(cluster.open('a'), 'ERR_VOLLEY_NOT_FOUND');
      });
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Takes two chunks away when all have been probed that often, as a concurrent `rm` of another image would. */
function stealAfterProbes(node: TestNode, proxy: TrafficProxy, content: Buffer, probes: number): void {
  const answerBytes = probes * (content.length / CHUNK_BYTES) * 'TOUCHED\r\n'.length;
  let atStart: number | null = null;
  let stolen = false;
  proxy.onTraffic = async (_, fromNode) => {
    atStart ??= fromNode;
    if (stolen || fromNode - atStart < answerBytes) return;
    stolen = true;
    for (const chunk of [0, 3]) {
      const digest = contentDigest(content.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES));
      await deleteItem(node.port, chunkKey(digest));
    }
  };
}

for (const [when, probes] of [
  ['before', 1],
  ['while', 2],
] as const) {
  test(`chunks that someone removes ${when} the manifest is written are sent again`, async () => {
    await withProxy(
      () => startMemcached(),
      async (node, proxy) => {
        await withCluster([proxy], async (cluster) => {
          const content = randomImage(30);
          await cluster.upload(content, { name: 'old' });
          stealAfterProbes(node, proxy, content, probes);
          const report = await cluster.upload(content, { name: 'new' });
          assert.is(report.presentChunks, 30);
          assert.ok((await loadBytes(cluster, 'new')).bytes.equals(content));
        });
      },
    );
  });

  test(`chunks of a stream that someone removes ${when} the manifest is written end the upload`, async () => {
    await withProxy(
      () => startMemcached(),
      async (node, proxy) => {
        await withCluster([proxy], async (cluster) => {
          const content = randomImage(30);
          await cluster.upload(content, { name: 'old' });
          stealAfterProbes(node, proxy, content, probes);
          const upload = cluster.upload(Readable.from([content]), { name: 'new' });
          await rejects(upload, 'ERR_VOLLEY_CHUNK', '2 chunks', proxy.name);
          await rejects(cluster.open('new'), 'ERR_VOLLEY_NOT_FOUND');
        });
      },
    );
  });
}

test.run();
