import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startMemcached, withCluster, withNodes } from './support/nodes.js';
import { rejects } from './support/rejection.js';

const test = suite('upload room settles');
const MIB = 1024 * 1024;

test('memory that was with another chunk size is waited for, and the command that the error names makes room', async () => {
  await withNodes([() => startMemcached('-m', '64', '-M')], async (node) => {
    await withCluster([node!], async (cluster) => {
      const options = { name: 'a', chunkBytes: 131_072, checkRoom: false };
      await rejects(
        cluster.upload(randomBytes(72 * MIB), options),
        'ERR_VOLLEY_NODE_FULL',
        'volley rm --orphans --min-age 0',
      );
      assert.ok((await cluster.removeOrphans(0)).removedChunks > 0);
      const used = async () => Number((await cluster.nodes[0]!.control.stats(''))!.bytes);
      while ((await used()) > MIB) await sleep(100);
      const notices: string[] = [];
      const onNotice = (text: string) => notices.push(text);
      const report = await cluster.upload(randomBytes(40 * MIB), { name: 'b', onNotice });
      assert.is(report.sentChunks + report.presentChunks, 1280);
      assert.match(notices.join(), /for another chunk size as yet: trying again for 45 s/);
    });
  });
});

test.run();
