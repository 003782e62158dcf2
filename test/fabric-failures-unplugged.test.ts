// What happens to a load over a fabric when the cable to a node is pulled with reads in flight.

import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fallbackChunks, PROVIDER, repeatedImage, SMALL_NODE, startFabricNode } from './support/fabric.js';
import { NetworkNamespace, namespacesRefused } from './support/network-namespace.js';
import { startVolleyNodeAt, type TestNode, withCluster, withNodes } from './support/nodes.js';
import { StruckLoad } from './support/struck-load.js';

const READ_TIMEOUT_MS = 400;
/** How long a destination is watched after its load has ended. */
const WATCH_MS = 500;
const content = repeatedImage(2048, 256);

const test = suite(`fabric unplugged over ${PROVIDER}`);
const refused = PROVIDER === 'net' ? namespacesRefused() : 'RDMA devices are in one network namespace';
const cableTest = refused === '' ? test : test.skip;
if (refused !== '') console.log(`skipped: no second network namespace: ${refused}`);

/** A node on the other end of a cable, one on this host, and an image on both. */
async function withCable(
  work: (load: StruckLoad, node: TestNode, far: NetworkNamespace) => Promise<void>,
): Promise<void> {
  await NetworkNamespace.use(async (far) => {
    const startFar = () => startVolleyNodeAt(far.host, far.command(), SMALL_NODE);
    await withNodes([startFar, startFabricNode], async (node, other) => {
      await withCluster(
        [node!, other!],
        async (cluster) => {
          const load = await StruckLoad.prepare(cluster, content);
          await work(load, node!, far).finally(() => load.close());
        },
        { transport: 'fabric', timeoutMs: 2000 },
      );
    });
  });
}

cableTest(
  'a node whose cable is pulled is named; plugged in again, no byte comes late and loads are whole',
  async () => {
    await withCable(async (load, node, far) => {
      const startMs = performance.now();
      const { error } = await load.strike(() => far.unplug(), READ_TIMEOUT_MS);
      assert.match(String(error?.code), /^ERR_VOLLEY_(TIMEOUT|NODE_DOWN)$/, String(error));
      // The deadline over the fabric, then that over tcp.
      assert.ok(performance.now() - startMs < 2 * READ_TIMEOUT_MS + 5000);
      load.checkTold(error!, node.name);
      const untouched = load.paint();
      far.plug();
      // The node's system sends again what was not acknowledged, to a port that nobody listens on any more.
      await sleep(2 * WATCH_MS);
      assert.ok(untouched(), 'nothing is written after the end of the load');
      assert.is(fallbackChunks(await load.loadWhole()), 0, 'the next load comes over the fabric again');
    });
  },
);

cableTest('a cable that is pulled for less than the deadline only makes the load longer', async () => {
  await withCable(async (load, _, far) => {
    const strike = () => {
      far.unplug();
      setTimeout(() => far.plug(), READ_TIMEOUT_MS / 2);
    };
    const { report, error } = await load.strike(strike, 20 * READ_TIMEOUT_MS);
    if (error) throw error;
    assert.is(fallbackChunks(report), 0);
  });
});

test.run();
