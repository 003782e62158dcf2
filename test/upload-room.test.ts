import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster } from '../client/index.js';
import { usableShare } from '../client/stock-memory.js';
import { runCli } from './support/cli.js';
import { startMemcached, startVolleyNode, withCluster, withNodes } from './support/nodes.js';
import { rejects } from './support/rejection.js';

const test = suite('upload room');
const MIB = 1024 * 1024;
const CLEANUP = 'volley rm --orphans --min-age 0';
const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
test.after(() => rmSync(folder, { recursive: true }));

/** More than a memcached of 64 MiB takes, whatever the chunk size. */
const TOO_LARGE = randomBytes(72 * MIB);

async function itemsOf(cluster: Cluster): Promise<number> {
  return Number((await cluster.nodes[0]!.control.stats(''))!.curr_items);
}

test('the share of -m that chunks can fill in a stock memcached is what is told, by chunk size', async () => {
  for (const chunkBytes of [4096, 32_768, 131_072]) {
    await withNodes([() => startMemcached('-m', '64', '-M')], async (node) => {
      await withCluster([node!], async (cluster) => {
        const options = { name: 'a', chunkBytes, checkRoom: false };
        const words = ['stock memcached', `chunks of ${chunkBytes / 1024} KiB fill`, '-m 64', CLEANUP];
        await rejects(cluster.upload(TOO_LARGE, options), 'ERR_VOLLEY_NODE_FULL', node!.name, ...words);
        const stored = (await itemsOf(cluster)) * chunkBytes;
        const difference = stored / (64 * MIB) - usableShare(chunkBytes);
        assert.ok(Math.abs(difference) < 0.05, `${chunkBytes}: ${difference}`);
      });
    });
  }
});

test('an upload that does not fit is refused before anything is sent, with figures, unless it is told to try', async () => {
  await withNodes([() => startMemcached('-m', '64', '-M')], async (node) => {
    await withCluster([node!], async (cluster) => {
      const words = ['75.5 MB', 'room for 62.9 MB', '93.75 %', '-m 64', CLEANUP, '--no-room-check'];
      const upload = cluster.upload(TOO_LARGE, { name: 'a' });
      await rejects(upload, 'ERR_VOLLEY_NODE_FULL', node!.name, ...words);
      assert.is(await itemsOf(cluster), 0);
    });
    const file = join(folder, 'large');
    writeFileSync(file, TOO_LARGE);
    const tried = await runCli(['upload', file, '--no-room-check', '--nodes', node!.name]);
    assert.is(tried.code, 1);
    assert.match(tried.stderr, /out of memory/);
  });
});

test('what a node holds already, zeros and repeated chunks need no room', async () => {
  await withNodes([() => startMemcached('-m', '64', '-M')], async (node) => {
    await withCluster([node!], async (cluster) => {
      const half = randomBytes(40 * MIB);
      await cluster.upload(half, { name: 'half' });
      const notices: string[] = [];
      const onNotice = (text: string) => notices.push(text);
      const whole = Buffer.concat([half, Buffer.alloc(20 * MIB), half, randomBytes(5 * MIB)]);
      const report = await cluster.upload(whole, { name: 'whole', onNotice });
      assert.equal([report.sentChunks, report.bytes], [160, whole.length]);
      assert.match(notices.join(), /may not have room.*counting/);
    });
  });
});

test('the room of a node that evicts, of a Volley node, and for a stream is not judged', async () => {
  await withNodes([() => startMemcached('-m', '64')], async (node) => {
    await withCluster([node!], async (cluster) => {
      const notices: string[] = [];
      const upload = cluster.upload(TOO_LARGE, { name: 'a', onNotice: (text) => notices.push(text) });
      // It evicts or, where sets come too fast for that, refuses; either shows in the end only.
      await upload.catch(() => {});
      assert.ok((await itemsOf(cluster)) > 1000);
      assert.equal(notices, []);
    });
  });
  const full = [() => startMemcached('-m', '64', '-M'), () => startVolleyNode('-m', '64')];
  await withNodes(full, async (stock, volley) => {
    await withCluster([stock!], async (cluster) => {
      const upload = cluster.upload(Readable.from([TOO_LARGE]), { name: 'a' });
      await rejects(upload, 'ERR_VOLLEY_NODE_FULL', 'out of memory', CLEANUP);
    });
    await withCluster([volley!], async (cluster) => {
      const upload = cluster.upload(TOO_LARGE, { name: 'a' });
      const { message } = await rejects(upload, 'ERR_VOLLEY_NODE_FULL', 'out of memory', CLEANUP);
      assert.not.match(message, /stock/);
    });
  });
});

test('a memcached whose items are too small is told the -I that it needs', async () => {
  await withNodes([() => startMemcached('-m', '64')], async (node) => {
    await withCluster([node!], async (cluster) => {
      const upload = cluster.upload(randomBytes(2 * MIB), { name: 'a', chunkBytes: MIB });
      await rejects(upload, 'ERR_VOLLEY_TOO_LARGE', node!.name, '-I 2m', 'multiple of 512k');
    });
  });
  await withNodes([() => startMemcached('-m', '64', '-I', '2m')], async (node) => {
    await withCluster([node!], async (cluster) => {
      const report = await cluster.upload(randomBytes(2 * MIB), { name: 'a', chunkBytes: MIB });
      assert.is(report.sentChunks, 2);
    });
  });
});

test('the first line of an upload names stock memcacheds and their -m; stats and doctor tell what chunks can fill', async () => {
  await withNodes(
    [() => startMemcached('-m', '64', '-M'), () => startVolleyNode()],
    async (stock, volley) => {
      const nodes = `${stock!.name},${volley!.name}`;
      const { stdout } = await runCli(['upload', '-', '--name', 'a', '--nodes', nodes], {}, randomBytes(100));
      const [first] = stdout.split('\n');
      assert.match(
        first!,
        new RegExp(`^stored "a": .*, to a stock memcached: ${stock!.name} \\(1\\.\\d+\\.\\d+, -m 64\\)$`),
      );
      const json = await runCli(
        ['upload', '-', '--name', 'a', '--nodes', nodes, '--json'],
        {},
        randomBytes(100),
      );
      assert.is(JSON.parse(json.stdout).name, 'a');
      const own = await runCli(['upload', '-', '--name', 'a', '--nodes', volley!.name], {}, randomBytes(100));
      assert.match(own.stdout, /^stored "a": .* GB\/s\n/);
      for (const command of ['stats', 'doctor']) {
        const told = await runCli([command, '--nodes', nodes]);
        assert.match(
          told.stdout,
          /chunks of 32 KiB fill 93\.75 % of its -m 64, those of 128 or 256 KiB 75 %/,
          command,
        );
        assert.not.match(told.stdout, /evicts images/);
      }
    },
  );
});

test.run();
