import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type FabricOffer, native, type Region } from '../src/native.js';
import { ROOT } from '../src/root.js';
import { PROVIDER, startFabricNode } from './support/fabric.js';
import { HOST } from './support/host.js';
import { CHUNK_KEY_PREFIX, chunkKey, placeItem, recordOf, wholeArena } from './support/items.js';
import { withCluster, withNodes } from './support/nodes.js';
import { CHUNK, makeImage } from './support/reader-plans.js';
import { rejects } from './support/rejection.js';

/** Who is let in at a node's fabric port, and how long. */
const test = suite(`admission to a fabric over ${PROVIDER}`);
const HELD_MS = 600;
const IDLE_MS = 1500;

const open = (offer: FabricOffer, change: Partial<FabricOffer> = {}) =>
  native().openRemoteRegion({ ...offer, host: HOST, timeoutMs: 2000, ...change });

/** A region that has one place for readers. */
async function withRegion(work: (region: Region, offer: FabricOffer) => Promise<void>): Promise<void> {
  const region = new (native().Region)({ arenaBytes: 1_054_720, tableItems: 16, hugepages: false });
  try {
    const limits = { connectionsMax: 1, placeHeldMs: HELD_MS };
    await work(region, region.offer({ provider: PROVIDER, host: HOST, port: 0, ...limits }));
  } finally {
    region.close();
  }
}

async function until(what: string, isTrue: () => boolean): Promise<void> {
  for (let tries = 0; tries < 400 && !isTrue(); tries++) await sleep(5);
  assert.ok(isTrue(), what);
}

test('who has address and key but not the token is refused and counted', async () => {
  await withRegion(async (region, offer) => {
    assert.is(offer.token.length, 16);
    const flipped = Buffer.from(offer.token);
    flipped[15]! ^= 1;
    const wrong = [flipped, Buffer.alloc(0), offer.token.subarray(0, 15), Buffer.alloc(16)];
    for (const token of wrong) await rejects(open(offer, { token }), 'ERR_VOLLEY_FABRIC', HOST);
    assert.is(region.fabricCounts.refusedToken, wrong.length);
    (await open(offer)).close();
    assert.is(region.fabricCounts.refusedToken, wrong.length);
    await until('nobody is connected', () => region.fabricCounts.connections === 0);
  });
});

test('a token is worth nothing after a restart', async () => {
  await withRegion(async (region, offer) => {
    region.stopOffering();
    const again = region.offer({
      provider: PROVIDER,
      host: HOST,
      port: 0,
      connectionsMax: 4,
      placeHeldMs: 0,
    });
    assert.not.equal(Buffer.from(again.token), Buffer.from(offer.token));
    await rejects(open(again, { token: offer.token }), 'ERR_VOLLEY_FABRIC', HOST);
    (await open(again)).close();
  });
});

test('a node tells the token with the key, and counts those without', async () => {
  await withNodes([() => startFabricNode()], async (node) => {
    await withCluster([node!], async (cluster) => {
      const { fabric } = cluster.nodes[0]!.volley!;
      (await open(fabric!)).close();
      await rejects(open(fabric!, { token: Buffer.alloc(16) }), 'ERR_VOLLEY_FABRIC', HOST);
      const stats = await cluster.nodes[0]!.control.stats('volley');
      assert.is(stats!.fabric_refused_token, '1');
      assert.match(stats!.fabric_token!, /^[0-9a-f]{32}$/);
    });
  });
});

test('a place that is held too long goes to the next client, but not at once', async () => {
  const image = makeImage(2);
  await withRegion(async (region, offer) => {
    const first = image.chunks[0]!;
    region.link(placeItem(wholeArena(region), 0, chunkKey(recordOf(first)), first).slot);
    const remote = await open(offer);
    await until('the place is free', () => region.fabricCounts.connections === 0);
    const silent = createServer(() => {}).listen(0, HOST);
    await new Promise((listening) => silent.once('listening', listening));
    const destination = native().GuestMemory.create(image.bytes.length);
    const { port } = silent.address() as { port: number };
    // Keeps its connection and does nothing with it, as a client whose host is gone: it waits for the second chunk.
    const idle = new (native().Reader)({
      destination,
      destinationOffset: 0,
      imageBytes: image.bytes.length,
      chunkBytes: CHUNK,
      records: image.records,
      sources: Uint16Array.of(0, 1),
      paths: [
        { kind: 'fabric', region: remote },
        { kind: 'tcp', host: HOST, port },
      ],
      keyPrefix: CHUNK_KEY_PREFIX,
      readTimeoutMs: IDLE_MS,
      threads: 1,
    }).run();
    try {
      await until('the idle client is connected', () => region.fabricCounts.connections === 1);
      await rejects(open(offer), 'ERR_VOLLEY_FABRIC', HOST);
      assert.is(region.fabricCounts.refusedFull, 1);
      await sleep(HELD_MS);
      (await open(offer)).close();
      assert.is(region.fabricCounts.reclaimed, 1);
      const { failures } = await idle;
      assert.equal(
        [...failures].filter((_, i) => i % 2 === 0),
        [1],
        'what it had read stays read',
      );
    } finally {
      await idle;
      silent.close();
      remote.close();
      destination.close();
    }
  });
});

test('who shows token and key may read the region and not write to it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  const program = join(folder, 'write-to-region');
  try {
    execFileSync('cc', ['-Wall', '-o', program, join(ROOT, 'test/clients/write-to-region.c'), '-lfabric']);
    await withRegion(async (region, offer) => {
      region.stopOffering();
      const limits = { connectionsMax: 4, placeHeldMs: HELD_MS };
      const { port, base, key, token } = region.offer({ provider: PROVIDER, host: HOST, port: 0, ...limits });
      const hex = [base, key].map((number) => number.toString(16));
      const where = region.info.tableOffset.toString(16);
      const args = [HOST, String(port), PROVIDER, ...hex, Buffer.from(token).toString('hex'), where];
      const env = { ...process.env, IPATH_NO_BACKTRACE: '1' };
      const { stdout } = await promisify(execFile)(program, args, { env, timeout: 20_000 });
      const magic = Buffer.from('VOLLEYRG').toString('hex');
      assert.is(stdout, `read ${magic}\nclosed\nread ${'00'.repeat(8)}\n`);
      (await open({ ...offer, port, base, key, token })).close();
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
