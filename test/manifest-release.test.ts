import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { manifestKey } from '../src/keys.js';
import { decodeRoot, encodeRoot, placeOfImage, RECORD_BYTES } from '../src/manifest.js';
import { ROOT } from '../src/root.js';
import { loadBytes } from './support/images.js';
import { startMemcached, startVolleyNode, withCluster, withNodes } from './support/nodes.js';
import { setItem } from './support/raw-client.js';

const test = suite('manifests of the last release');
const CHUNK_BYTES = 4096;

/** What a client of 0.1.0 stored: manifests and the pieces of their bodies; content follows from the name. */
const stored = JSON.parse(
  readFileSync(join(ROOT, 'test', 'fixtures', '0.1.0', 'manifests.json'), 'utf8'),
) as {
  images: { name: string; chunks: number; cut: number; kind: 'raw' | 'kernel' }[];
  /** By key, in base64. */
  items: Record<string, string>;
};

function contentOf({ name, chunks, cut }: { name: string; chunks: number; cut: number }): Buffer {
  const chunk = (i: number) =>
    i % 7 === 3 ? Buffer.alloc(CHUNK_BYTES) : Buffer.alloc(CHUNK_BYTES, `${name} ${i};`);
  return Buffer.concat(Array.from({ length: chunks }, (_, i) => chunk(i))).subarray(
    0,
    chunks * CHUNK_BYTES - cut,
  );
}

test('its roots are read, tell no node list, and are written as the same bytes', () => {
  for (const { name, chunks, kind } of stored.images) {
    const root = Buffer.from(stored.items[manifestKey(name)]!, 'base64');
    const decoded = decodeRoot(root, placeOfImage(name, 'node:1'));
    assert.equal([decoded.chunkCount, decoded.kind, decoded.nodes], [chunks, kind, null]);
    const body = decoded.body ?? new Uint8Array(chunks * RECORD_BYTES);
    assert.ok(encodeRoot(decoded, body, decoded.pieces, decoded.fields).equals(root));
  }
});

for (const [kind, start] of [
  ['memcached', () => startMemcached()],
  ['a Volley node', () => startVolleyNode()],
] as const) {
  test(`${kind} filled by the last release: images are listed, loaded, replaced and removed`, async () => {
    await withNodes([start], async (node) => {
      await withCluster([node!], async (cluster) => {
        // The chunks are those that an upload of the same bytes stores; then the manifests of 0.1.0 take the place of ours.
        for (const image of stored.images)
          await cluster.upload(contentOf(image), { name: image.name, chunkBytes: CHUNK_BYTES });
        for (const [key, value] of Object.entries(stored.items))
          await setItem(node!.port, key, Buffer.from(value, 'base64'));
        const images = await cluster.images();
        assert.is(images.length, stored.images.length);
        for (const { missingChunks, damaged, nodes } of images)
          assert.equal([missingChunks, damaged, nodes], [0, null, null]);
        for (const image of stored.images)
          assert.ok((await loadBytes(cluster, image.name)).bytes.equals(contentOf(image)), image.name);
        const [, small, large] = stored.images;
        await cluster.upload(contentOf(small!), { name: small!.name, chunkBytes: CHUNK_BYTES });
        assert.ok((await cluster.open(small!.name)).nodes);
        const { removedChunks, keptReason } = await cluster.remove(large!.name);
        assert.equal(
          [removedChunks, keptReason],
          [large!.chunks - Math.floor((large!.chunks + 3) / 7), null],
        );
      });
    });
  });
}

test('an image of the last release that is not whole by this node list says that its own list is not known', async () => {
  await withNodes([() => startMemcached(), () => startMemcached()], async (...nodes) => {
    const large = stored.images.find(({ name }) => name === 'large')!;
    await withCluster([nodes[0]!], async (one) => {
      await one.upload(contentOf(large), { name: 'large', chunkBytes: CHUNK_BYTES });
    });
    const key = manifestKey('large');
    await setItem(nodes[0]!.port, key, Buffer.from(stored.items[key]!, 'base64'));
    await withCluster(nodes, async (two) => {
      const error = await loadBytes(two, 'large').then(
        () => null,
        (reason: Error) => reason,
      );
      assert.match(error!.message, /Volley 0\.1|part of its body cannot be read/);
      const refusal = await two.removeOrphans(0).then(
        () => null,
        (reason: Error) => reason,
      );
      assert.match(refusal!.message, /no chunk was removed: (chunks are missing|1 images are damaged)/);
    });
  });
});

test.run();
