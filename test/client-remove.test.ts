import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GateProxy } from './support/gate-proxy.js';
import { randomImage } from './support/images.js';
import { startMemcached, type TestNode, withCluster, withNodes } from './support/nodes.js';
import { ask } from './support/raw-client.js';
import { rejects } from './support/rejection.js';

const test = suite('client remove');

/** The second listing of manifests that a client begins, and those after it. */
function secondListing(): (data: string) => boolean {
  let listings = 0;
  return (data) => data.includes('lru_crawler metadump') && ++listings > 1;
}

/** For all items of a node the seconds that they have left, Infinity for those that stay. */
async function secondsLeft({ port }: TestNode): Promise<number[]> {
  const listing = await ask(port, 'lru_crawler metadump hash\r\n', 'END\r\n');
  const exptimes = [...listing.toString('latin1').matchAll(/^key=\S+ exp=(\S+)/gm)].map(([, exp]) =>
    Number(exp),
  );
  return exptimes.map((exptime) => (exptime > 0 ? exptime - Date.now() / 1000 : Number.POSITIVE_INFINITY));
}

test('a second listing that takes too long makes rm spare the chunks and try again with more time', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    await GateProxy.use(node!.port, secondListing(), async (proxy) => {
      await withCluster([proxy], async (cluster) => {
        await cluster.upload(randomImage(5), { name: 'a' });
        const removal = cluster.remove('a');
        await proxy.held;
        const sentenced = await secondsLeft(node!);
        assert.ok(sentenced.length === 5 && sentenced.every((seconds) => seconds <= 3), String(sentenced));
        await sleep(2000);
        proxy.open();
        const { removedChunks, freedWithinSeconds } = await removal;
        assert.equal([removedChunks, freedWithinSeconds], [5, 30]);
        const again = await secondsLeft(node!);
        assert.ok(again.length === 5 && again.every((seconds) => seconds > 10), String(again));
      });
    });
  });
});

test('an rm that is interrupted before it knows what to spare spares all chunks', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    await GateProxy.use(node!.port, secondListing(), async (proxy) => {
      await withCluster([proxy], async (cluster) => {
        await cluster.upload(randomImage(5), { name: 'a' });
        const controller = new AbortController();
        const rejection = rejects(cluster.remove('a', controller.signal), 'ERR_VOLLEY_ABORTED', '--orphans');
        await proxy.held;
        controller.abort();
        await rejection;
        assert.equal(await secondsLeft(node!), new Array(5).fill(Number.POSITIVE_INFINITY));
        proxy.open();
        assert.is((await cluster.removeOrphans(0)).removedChunks, 5);
      });
    });
  });
});

test.run();
