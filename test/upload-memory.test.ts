import { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startMemcached, withCluster, withNodes } from './support/nodes.js';

const test = suite('upload memory');
const MB = 1e6;
const WARM_UP = 200;
const UPLOADS = 2000;
const AT_A_TIME = 4;
/** Pieces of 1 MiB that are filled with zeros for each upload make 150 MB and more resident. */
const GROWTH_MAX = 60 * MB;

/** Bytes, or for every other name a stream, whose length is not known. */
function sourceOf(name: string): Uint8Array | Readable {
  const bytes = Buffer.from(name);
  return /[02468]$/.test(name) ? bytes : Readable.from([bytes]);
}

test('a client keeps no memory of the many small uploads that it has done', async () => {
  await withNodes([() => startMemcached('-m', '200')], async (node) => {
    await withCluster([node!], async (cluster) => {
      const uploadAll = async (count: number) => {
        for (let i = 0; i < count; i += AT_A_TIME) {
          const names = Array.from({ length: AT_A_TIME }, (_, k) => `image ${i + k}`);
          await Promise.all(names.map((name) => cluster.upload(sourceOf(name), { name })));
        }
      };
      await uploadAll(WARM_UP);
      const before = process.memoryUsage.rss();
      await uploadAll(UPLOADS);
      const growth = process.memoryUsage.rss() - before;
      assert.ok(growth < GROWTH_MAX, `grown by ${(growth / MB).toFixed(0)} MB`);
    });
  });
});

test.run();
