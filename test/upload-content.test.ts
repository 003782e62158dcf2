import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { UploadProgress } from '../client/index.js';
import { CHUNK_BYTES, loadBytes, randomImage } from './support/images.js';
import { startMemcached, startVolleyNode, withCluster, withNodes } from './support/nodes.js';
import { statOf } from './support/raw-client.js';
import { rejects } from './support/rejection.js';
import { randomBytes } from './support/seed.js';

const test = suite('upload content');
const KINDS = [
  ['memcached', () => startMemcached()],
  ['a Volley node', () => startVolleyNode('-m', '64')],
] as const;

const CONTENTS: readonly [string, Buffer][] = [
  ['an empty image', Buffer.alloc(0)],
  ['one byte', Buffer.from('x')],
  ['one zero byte', Buffer.alloc(1)],
  ['exactly a chunk', randomImage(1)],
  ['a chunk and one byte', randomBytes(CHUNK_BYTES + 1)],
  ['only zeros', Buffer.alloc(5 * CHUNK_BYTES + 17)],
  [
    'a zero chunk between others',
    Buffer.concat([randomImage(2), Buffer.alloc(CHUNK_BYTES), randomImage(2, 9)]),
  ],
  ['many pieces of many chunks', randomImage(100, 1)],
];

for (const [kind, start] of KINDS) {
  test(`every kind of content comes back from ${kind} as it was`, async () => {
    await withNodes([start], async (node) => {
      await withCluster([node!], async (cluster) => {
        for (const [what, content] of CONTENTS) {
          const report = await cluster.upload(content, { name: what });
          assert.is(report.bytes, content.length, what);
          assert.is(report.chunks, Math.ceil(content.length / CHUNK_BYTES), what);
          const { bytes } = await loadBytes(cluster, what);
          assert.ok(bytes.equals(content), what);
        }
        const names = (await cluster.images()).map(({ name }) => name);
        assert.equal(names, CONTENTS.map(([what]) => what).sort());
      });
    });
  });
}

test('zero chunks are never sent, repeated chunks once', async () => {
  await withNodes([KINDS[0][1]], async (node) => {
    await withCluster([node!], async (cluster) => {
      const one = randomImage(1);
      const zeros = Buffer.alloc(3 * CHUNK_BYTES);
      const report = await cluster.upload(Buffer.concat([one, zeros, one, randomImage(1), one]), {
        name: 'a',
      });
      assert.is(report.zeroChunks, 3);
      assert.is(report.duplicateChunks, 2);
      assert.is(report.sentChunks, 2);
      assert.is(report.sentBytes, 2 * CHUNK_BYTES);
      assert.is(await statOf(node!.port, 'curr_items'), 3, 'two chunks and a manifest');
    });
  });
});

test('an upload that is run again sends nothing, a changed image only what changed', async () => {
  await withNodes([KINDS[0][1]], async (node) => {
    await withCluster([node!], async (cluster) => {
      const content = randomImage(40);
      assert.is((await cluster.upload(content, { name: 'a' })).replaced, false);
      const again = await cluster.upload(content, { name: 'a' });
      assert.is(again.sentChunks, 0);
      assert.is(again.presentChunks, 40);
      assert.is(again.replaced, true);
      content[7 * CHUNK_BYTES + 5]! ^= 1;
      const changed = await cluster.upload(content, { name: 'a' });
      assert.is(changed.sentChunks, 1);
      assert.ok((await loadBytes(cluster, 'a')).bytes.equals(content));
    });
  });
});

test('a large file is hashed by threads, spread over all nodes and comes back as it was', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  const content = randomImage(400, 100);
  writeFileSync(join(folder, 'disk'), content);
  try {
    await withNodes(
      [() => startMemcached(), () => startMemcached(), () => startMemcached()],
      async (...nodes) => {
        await withCluster(nodes, async (cluster) => {
          const told: UploadProgress[] = [];
          const onProgress = (progress: UploadProgress) => told.push(progress);
          const report = await cluster.upload(join(folder, 'disk'), { name: 'disk', onProgress });
          assert.is(
            report.nodes.reduce((sum, { sentChunks }) => sum + sentChunks, 0),
            400,
          );
          for (const { sentChunks } of report.nodes) assert.ok(sentChunks > 80, String(sentChunks));
          assert.equal(told.at(-1), { bytes: content.length, totalBytes: content.length });
          assert.ok((await loadBytes(cluster, 'disk')).bytes.equals(content));
        });
      },
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a stream of any part sizes gives the same image as the file', async () => {
  const content = randomImage(330, 777);
  const parts: Buffer[] = [];
  for (let at = 0, size = 1; at < content.length; at += size, size = (size * 7) % 300_007) {
    parts.push(content.subarray(at, at + size), Buffer.alloc(0));
  }
  await withNodes([KINDS[0][1]], async (node) => {
    await withCluster([node!], async (cluster) => {
      const streamed = await cluster.upload(Readable.from(parts), { name: 'stream' });
      const whole = await cluster.upload(content, { name: 'whole' });
      assert.is(streamed.id, whole.id);
      assert.is(whole.sentChunks, 0);
      assert.ok((await loadBytes(cluster, 'stream')).bytes.equals(content));
    });
  });
});

test('chunk sizes from 4 KiB to 512 KiB make the same bytes, also where the manifest is stored in pieces', async () => {
  const content = randomBytes(4 * 1024 * 1024 + 1);
  await withNodes([KINDS[1][1]], async (node) => {
    await withCluster([node!], async (cluster) => {
      for (const chunkBytes of [4096, 65_536, 524_288]) {
        const report = await cluster.upload(content, {
          name: `of ${chunkBytes}`,
          chunkBytes,
          kind: 'kernel',
        });
        assert.is(report.chunks, Math.ceil(content.length / chunkBytes));
        const manifest = await cluster.open(`of ${chunkBytes}`);
        assert.is(manifest.kind, 'kernel');
        assert.is(manifest.chunkBytes, chunkBytes);
        assert.ok((await loadBytes(cluster, `of ${chunkBytes}`)).bytes.equals(content));
      }
      for (const chunkBytes of [0, 2048, 33_000, 2 ** 21]) {
        await rejects(cluster.upload(content, { name: 'x', chunkBytes }), 'ERR_VOLLEY_USAGE', '4k to 1M');
      }
    });
  });
});

test('odd names are stored and found again, bad ones refused with the rule', async () => {
  const names = [
    'with blanks in it',
    'a/b/../../c',
    'ünïcödé/🎈',
    'n'.repeat(300),
    '-',
    '%00',
    'it\'s "quoted"',
  ];
  await withNodes([KINDS[0][1]], async (node) => {
    await withCluster([node!], async (cluster) => {
      for (const name of names) {
        await cluster.upload(Buffer.from(name), { name });
        assert.is((await loadBytes(cluster, name)).bytes.toString(), name);
      }
      assert.equal((await cluster.images()).map(({ name }) => name).sort(), [...names].sort());
      for (const name of ['', 'a\nb', ' a', 'x\u0000', 'é'.repeat(300)]) {
        await rejects(
          cluster.upload(Buffer.from('x'), { name }),
          'ERR_VOLLEY_NAME',
          '1 to 512 bytes of UTF-8',
        );
        await rejects(cluster.open(name), 'ERR_VOLLEY_NAME', '1 to 512 bytes of UTF-8');
      }
    });
  });
});

test.run();
