import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { FabricReport } from '../bin/doctor/fabric.js';
import type { LoadReport } from '../client/index.js';
import { native } from '../src/native.js';
import { SMALL_NODE } from './support/fabric.js';
import { HOST } from './support/host.js';
import { randomImage } from './support/images.js';
import { startVolleyNodeAt, type TestNode, VOLLEY_COMMAND, withCluster, withNodes } from './support/nodes.js';
import { otherLibfabric } from './support/other-libfabric.js';
import { TestProcess } from './support/processes.js';

/** Hosts with libfabric 1.17 (Debian 12) and 2.1 (Debian 13): what is `net` to the one is `tcp` to the other. */
const test = suite('fabrics between releases of libfabric');
const CHUNKS = 60;
/** A client of reliable datagrams does not sleep: beside other work it is slow. */
const READ_TIMEOUT_MS = 30_000;
const EXIT_TIMEOUT_MS = 60_000;
const { release, within } = await otherLibfabric();
const content = randomImage(CHUNKS);

/** Runs the volley command with one of the two libraries. */
async function run(prefix: readonly string[], args: readonly string[], environment = {}) {
  const [command, ...rest] = [...prefix, ...VOLLEY_COMMAND, ...args];
  const process = new TestProcess(command!, rest, { VOLLEY_NODES: '', HOME: '/nonexistent', ...environment });
  process.child.stdin!.end();
  assert.is(await process.ended(EXIT_TIMEOUT_MS), 0, process.stderr);
  return JSON.parse(process.stdout) as unknown;
}

/** Stores the image at a node, which is to offer a provider. */
async function storeAt(node: TestNode, provider: string): Promise<void> {
  await withCluster([node], async (cluster) => {
    await cluster.upload(content, { name: 'image' });
    assert.is(cluster.nodes[0]!.volley!.all.fabric_provider, provider);
  });
}

/** Loads the image with one of the libraries, which is to read over a provider. */
async function readsOver(
  provider: string,
  prefix: readonly string[],
  node: TestNode,
  fabric: string,
  environment = {},
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  try {
    const out = join(folder, 'out');
    const args = ['load', 'image', '--out', out, '--json', '--nodes', node.name, '--fabric', fabric];
    const { nodes } = (await run(prefix, args, environment)) as LoadReport;
    assert.is(nodes[0]!.transport, 'fabric', nodes[0]!.transportReason);
    assert.equal([nodes[0]!.fabric!.provider, nodes[0]!.fallbackChunks], [provider, 0]);
    assert.ok(readFileSync(out).equals(content));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const here: readonly string[] = [];
const orders = [
  { node: here, client: within, order: `a node here and clients with ${release}'s libfabric` },
  { node: within, client: here, order: `a node with ${release}'s libfabric and clients here` },
];

for (const { node, client, order } of orders) {
  test(`${order} read one-sidedly over net, by either of its names`, async () => {
    const asTcp = [...SMALL_NODE, '--fabric', 'tcp'];
    await withNodes([() => startVolleyNodeAt(HOST, node, asTcp)], async (one) => {
      await storeAt(one!, 'net');
      for (const [asked, filter] of [
        ['net', ''],
        ['tcp', ''],
        ['net', 'tcp'],
        ['auto', 'net'],
      ] as const) {
        await readsOver('net', client, one!, asked, filter === '' ? {} : { FI_PROVIDER: filter });
      }
    });
  });

  test(`${order} read one-sidedly over tcp;ofi_rxm`, async () => {
    const layered = [...SMALL_NODE, '--fabric', 'tcp;ofi_rxm'];
    await withNodes([() => startVolleyNodeAt(HOST, node, layered)], async (one) => {
      await storeAt(one!, 'tcp;ofi_rxm');
      await readsOver('tcp;ofi_rxm', client, one!, 'tcp;ofi_rxm');
    });
  });
}

test('doctor lists net once, with either libfabric, and offers it by both names', async () => {
  const versions = [];
  for (const prefix of [[], within]) {
    const { fabrics } = (await run(prefix, ['doctor', '--json'])) as {
      fabrics: FabricReport;
    };
    versions.push(fabrics.libfabric);
    const offered = fabrics.ways.filter(
      ({ reason, device }) => reason.includes('takes it') && device === 'lo',
    );
    const names = offered.map(({ provider, endpoint }) => `${provider} ${endpoint}`);
    assert.equal(names.sort(), ['net msg', 'net rdm', 'tcp;ofi_rxm rdm'], fabrics.libfabric!);
    assert.ok(offered.every(({ reason }) => /trusted peers only/.test(reason)));
  }
  assert.is.not(versions[0], versions[1]);
});

test('what a provider was given lives as long as its endpoints', async () => {
  // Of libfabric's providers this one goes on looking at it. No command takes it.
  const region = new (native().Region)({ arenaBytes: 1_054_720, tableItems: 16, hugepages: false });
  const limits = { host: HOST, port: 0, connectionsMax: 4, placeHeldMs: 60_000 };
  try {
    const offer = region.offer({ provider: 'sockets', endpoint: 'msg', ...limits });
    const options = { ...offer, host: HOST, timeoutMs: READ_TIMEOUT_MS };
    for (let i = 0; i < 3; i++) {
      const remote = await native().openRemoteRegion(options);
      assert.ok((await remote.copyTable(1 << 20, READ_TIMEOUT_MS)) > 0);
      remote.close();
    }
  } finally {
    region.close();
  }
});

test.run();
