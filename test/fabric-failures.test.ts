// What happens to a load over a fabric when a node is killed, stopped or restarted with reads in flight, or is too slow.

import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/native.js';
import {
  fallbackChunks,
  holds,
  outcomeOf,
  PROVIDER,
  repeatedImage,
  startFabricNode,
} from './support/fabric.js';
import { type TestNode, withCluster, withNodes } from './support/nodes.js';
import { StruckLoad } from './support/struck-load.js';

const READ_TIMEOUT_MS = 400;
/** How long a destination is watched after its load has ended. */
const WATCH_MS = 500;
const byFabric = { transport: 'fabric', timeoutMs: 2000 } as const;
const content = repeatedImage(2048, 256);

const test = suite(`fabric failures over ${PROVIDER}`);

/** Two nodes, a client and an image on both; the first node is the one that trouble comes to. */
async function withStruckLoad(work: (load: StruckLoad, node: TestNode) => Promise<void>): Promise<void> {
  await withNodes([startFabricNode, startFabricNode], async (node, other) => {
    await withCluster(
      [node!, other!],
      async (cluster) => {
        const load = await StruckLoad.prepare(cluster, content);
        await work(load, node!).finally(() => load.close());
      },
      byFabric,
    );
  });
}

async function storeAgain({ cluster }: StruckLoad): Promise<void> {
  await withCluster(cluster.nodes, async (other) => {
    await other.upload(content, { name: 'image' });
  });
}

/** Starts a node on the port of one that was killed, with the image, as an operator would. */
async function withRenewed(load: StruckLoad, node: TestNode, work: () => Promise<void>): Promise<void> {
  await withNodes([() => startFabricNode('-p', String(node.port))], async () => {
    await storeAgain(load);
    await work();
  });
}

test('a node that is killed is named; once it runs again, the next load of the same client is whole', async () => {
  await withStruckLoad(async (load, node) => {
    const { error } = await load.strike(() => node.process.signal('SIGKILL'), READ_TIMEOUT_MS);
    assert.is(error?.code, 'ERR_VOLLEY_NODE_DOWN', String(error));
    load.checkTold(error!, node.name);
    const untouched = load.paint();
    await sleep(WATCH_MS);
    assert.ok(untouched(), 'nothing is written after the end of the load');
    await withRenewed(load, node, async () => {
      const report = await load.loadWhole();
      assert.ok(fallbackChunks(report) > 0, 'the new epoch is not that of the region this client knows');
      await load.loadWhole();
    });
  });
});

test('a node that is killed after it was stopped has all reads in flight, and none of them writes', async () => {
  await withStruckLoad(async (load, node) => {
    const kill = () => node.process.signal('SIGKILL');
    const strike = () => {
      node.process.signal('SIGSTOP');
      setTimeout(kill, READ_TIMEOUT_MS / 4);
    };
    const { error } = await load.strike(strike, READ_TIMEOUT_MS);
    assert.match(error!.code, /^ERR_VOLLEY_(NODE_DOWN|TIMEOUT)$/);
    load.checkTold(error!, node.name);
    const untouched = load.paint();
    await sleep(WATCH_MS);
    assert.ok(untouched(), 'nothing is written after the end of the load');
  });
});

test('a node that is stopped is given up at the deadline; when it goes on, no byte comes late and the next load is whole', async () => {
  await withStruckLoad(async (load, node) => {
    const startMs = performance.now();
    const { error } = await load.strike(() => node.process.signal('SIGSTOP'), READ_TIMEOUT_MS);
    assert.is(error?.code, 'ERR_VOLLEY_TIMEOUT', String(error));
    // The deadline over the fabric, then that over tcp.
    assert.ok(performance.now() - startMs < 2 * READ_TIMEOUT_MS + 5000);
    load.checkTold(error!, node.name);
    const untouched = load.paint();
    node.process.signal('SIGCONT');
    await sleep(WATCH_MS);
    assert.ok(untouched(), 'nothing is written after the end of the load');
    const report = await load.loadWhole();
    assert.is(fallbackChunks(report), 0, 'the next load comes over the fabric again');
  });
});

test('a node that is stopped for less than the deadline only makes the load longer', async () => {
  await withStruckLoad(async (load, node) => {
    const strike = () => {
      node.process.signal('SIGSTOP');
      setTimeout(() => node.process.signal('SIGCONT'), READ_TIMEOUT_MS);
    };
    const { report, error } = await load.strike(strike, 10 * READ_TIMEOUT_MS);
    if (error) throw error;
    assert.is(fallbackChunks(report), 0);
  });
});

test('a node that restarts with another epoch in mid-load is named, or the load is whole; the next one is', async () => {
  await withStruckLoad(async (load, node) => {
    let renewed: Promise<TestNode> | undefined;
    const strike = () => {
      renewed = node.process.kill().then(() => startFabricNode('-p', String(node.port)));
    };
    const { error } = await load.strike(strike, READ_TIMEOUT_MS);
    if (error) load.checkTold(error, node.name);
    const untouched = load.paint();
    await withNodes([() => renewed!], async () => {
      await storeAgain(load);
      await sleep(WATCH_MS);
      assert.ok(untouched(), 'nothing is written after the end of the load');
      assert.ok(fallbackChunks(await load.loadWhole()) > 0);
    });
  });
});

test('reads that a living node answers too late are given up, and what it sends then goes nowhere', async () => {
  await withNodes([startFabricNode], async (node) => {
    await withCluster(
      [node!],
      async (cluster) => {
        const large = content.subarray(0, 24 << 20);
        await cluster.upload(large, { name: 'image', chunkBytes: 1 << 20 });
        const image = await cluster.open('image');
        const destination = native().GuestMemory.create(large.length);
        await cluster.load(image, { destination });
        const paint = Buffer.alloc(large.length, 0x5a);
        let late = 0;
        for (let round = 0; round < 20; round++) {
          // A millisecond is less than the 16 reads of 1 MiB take that are in flight together.
          const { error } = await outcomeOf(cluster, image, { destination, readTimeoutMs: 1 });
          if (!error) {
            assert.ok(holds(destination, large), 'what was told as loaded is right');
            continue;
          }
          late++;
          assert.is(error.code, 'ERR_VOLLEY_TIMEOUT', String(error));
          assert.match(error.message, new RegExp(`^image "image": chunk \\d+ of 24 on node ${node!.name} `));
          destination.write(0, paint);
          await sleep(round === 0 ? WATCH_MS : 10);
          assert.ok(holds(destination, paint), 'nothing is written after the end of the load');
        }
        assert.ok(late > 0, 'at least one load was too late');
        assert.is(fallbackChunks(await cluster.load(image, { destination })), 0);
        assert.ok(holds(destination, large), 'the next load, with time, is whole');
        destination.close();
      },
      byFabric,
    );
  });
});

test.run();
