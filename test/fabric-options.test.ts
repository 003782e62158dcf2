import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { FabricReport } from '../bin/doctor/fabric.js';
import type { Cluster, NodeLoadReport } from '../client/index.js';
import { runCli } from './support/cli.js';
import { loadBytes, randomImage } from './support/images.js';
import {
  startVolleyNode,
  startVolleyNodeAt,
  type TestNode,
  VOLLEY_COMMAND,
  withCluster,
  withNodes,
} from './support/nodes.js';
import { TestProcess } from './support/processes.js';

/** What the commands make of --fabric and FI_PROVIDER, over libfabric's provider for plain sockets. */
const test = suite('--fabric on the command line');
const startNode = () => startVolleyNode('--fabric', 'net', '--local', 'off');

/** An IPv6 address that means something on one interface only, such as `fe80::1%eth0`, or null. */
function linkLocalAddress(): string | null {
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    const found = addresses!.find(({ family, address }) => family === 'IPv6' && address.startsWith('fe80:'));
    if (found) return `${found.address}%${name}`;
  }
  return null;
}

async function withFolder<Result>(work: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function upload(node: TestNode): Promise<void> {
  await withCluster([node], async (cluster) => {
    await cluster.upload(randomImage(20), { name: 'image' });
  });
}

async function storeAndLoad(cluster: Cluster): Promise<void> {
  const content = randomImage(20);
  await cluster.upload(content, { name: 'image' });
  assert.ok((await loadBytes(cluster, 'image')).bytes.equals(content));
}

/** Loads the image and returns what is told of the node, or of the failure. */
async function load(node: TestNode, args: string[], environment: NodeJS.ProcessEnv = {}) {
  return withFolder(async (folder) => {
    const command = ['load', 'image', '--out', join(folder, 'out'), '--json', '--nodes', node.name];
    const { stdout } = await runCli([...command, ...args], environment);
    const { nodes, error } = JSON.parse(stdout) as { nodes?: NodeLoadReport[]; error?: { code: string } };
    return { node: nodes?.[0] as NodeLoadReport, error };
  });
}

test('libfabric is loaded when a fabric is first wanted, and not before', async () => {
  const hasLoaded = (pid: number | 'self') =>
    /\/libfabric\.so/.test(readFileSync(`/proc/${pid}/maps`, 'utf8'));
  await withNodes([startNode, () => startVolleyNode('--fabric', 'off')], async (node, plain) => {
    assert.equal([hasLoaded(node!.process.pid), hasLoaded(plain!.process.pid)], [true, false]);
    for (const transport of ['local', 'tcp', 'auto'] as const) {
      await withCluster([plain!], (cluster) => storeAndLoad(cluster), { transport });
    }
    await withCluster([node!], (cluster) => storeAndLoad(cluster));
    assert.not(hasLoaded('self'), 'this client has not wanted one');
    await withCluster([node!], (cluster) => storeAndLoad(cluster), { transport: 'fabric' });
    assert.ok(hasLoaded('self'));
  });
});

test('a load tells provider, device and kind of endpoint, and why not another way', async () => {
  await withNodes([startNode], async (node) => {
    await upload(node!);
    for (const args of [
      ['--fabric', 'net'],
      ['--fabric', 'net/lo'],
      ['--fabric', 'tcp'],
      ['--fabric', 'tcp/lo'],
      ['--transport', 'fabric'],
    ]) {
      const { node: one } = await load(node!, args);
      assert.is(one.transport, 'fabric', one.transportReason);
      const fabric = { provider: 'net', device: 'lo', endpoint: 'msg', readsOutstandingMax: null };
      assert.equal(one.fabric, fabric);
      assert.match(one.transportReason, /net\/lo \(msg\).*not local: /);
    }
    for (const name of ['net', 'tcp', '^verbs', '']) {
      const args = name === '' || name.startsWith('^') ? ['--fabric', 'net'] : [];
      const { node: one } = await load(node!, args, { FI_PROVIDER: name });
      assert.is(one.transport, 'fabric', `FI_PROVIDER=${name}: ${one.transportReason}`);
    }
  });
});

test('a client takes no software by itself, no other provider than the node has, and none that is excluded', async () => {
  await withNodes([startNode], async (node) => {
    await upload(node!);
    const cases: [string[], NodeJS.ProcessEnv, RegExp][] = [
      [[], {}, /net, which is software only; --fabric 'net' takes it/],
      [['--fabric', 'off'], {}, /fabrics are switched off/],
      [['--fabric', 'udp'], {}, /offers the fabric net, and udp was asked for/],
      [['--fabric', 'sockets'], {}, /offers the fabric net, and sockets was asked for/],
      [['--fabric', 'net'], { FI_PROVIDER: 'udp' }, /FI_PROVIDER=udp excludes/],
      [['--fabric', 'tcp'], { FI_PROVIDER: '^net' }, /FI_PROVIDER=\^net excludes/],
      [['--fabric', 'net/eth99'], {}, /on device eth99/],
    ];
    for (const [args, environment, why] of cases) {
      const { node: one } = await load(node!, args, environment);
      assert.is(one.transport, 'tcp');
      assert.is(one.fabric, null);
      assert.match(one.transportReason, why);
      const insisting = await load(node!, ['--transport', 'fabric', ...args], environment);
      if (args.length === 0) assert.is(insisting.node.transport, 'fabric');
      else assert.is(insisting.error?.code, 'ERR_VOLLEY_TRANSPORT');
    }
    const nonsense = await load(node!, ['--fabric', 'a b']);
    assert.is(nonsense.error?.code, 'ERR_VOLLEY_USAGE');
  });
});

test('a node tells why its fabric was chosen, or why it has none', async () => {
  const start =
    (environment: NodeJS.ProcessEnv, ...args: string[]) =>
    async () => {
      const [command, script] = VOLLEY_COMMAND;
      const options = [script, 'node', '-p', '0', '--json', '--local', 'off', ...args];
      const process = new TestProcess(command, options, environment);
      await process.until('line of the node', () => process.stdout.includes('\n'));
      const { port } = JSON.parse(process.stdout.split('\n')[0]!) as { port: number };
      return { name: `127.0.0.1:${port}`, port, process, socket: null };
    };
  const starts = [start({ FI_PROVIDER: 'tcp' }), start({}, '--fabric', 'tcp'), start({}, '--fabric', 'off')];
  await withNodes(starts, async (...nodes) => {
    const reasons = [/FI_PROVIDER=tcp asks for it/, /net was asked for/, /switched off/];
    for (const [i, node] of nodes.entries()) {
      await withCluster([node], async (cluster) => {
        const { all } = cluster.nodes[0]!.volley!;
        assert.match(all.fabric_reason!, reasons[i]!);
        assert.is(all.fabric_provider, i < 2 ? 'net' : '');
        assert.is(all.fabric_endpoint, i < 2 ? 'msg' : '');
      });
      // A peer that is not trusted is no matter of a node that has no such port.
      assert.is(/hostile peer.*12593/.test(node.process.stderr), i < 2, node.process.stderr);
    }
  });
});

test('a node that cannot have what was asked for says in one line why, and does not start', async () => {
  const cases: [string, NodeJS.ProcessEnv, RegExp][] = [
    ['shm', {}, /access control/],
    ['sockets', {}, /no longer maintains it; --fabric net/],
    ['net/eth99', {}, /it has net\/lo \(msg\)/],
    ['net', { FI_PROVIDER: '^net' }, /FI_PROVIDER=\^net excludes it/],
    ['udp;ofi_rxd', {}, /cannot read remote memory/],
  ];
  for (const [fabric, environment, why] of cases) {
    const { code, stderr } = await runCli(['node', '-p', '0', '--fabric', fabric], environment);
    assert.is(code, 1, stderr);
    assert.match(stderr, why);
    assert.match(stderr, /^volley: [^\n]+\n$/);
  }
});

test('a node whose fabric is at another address of its host, or at one with a zone, is read over it', async () => {
  const zoned = linkLocalAddress();
  const both = ['-l', '127.0.0.1,::1', '--fabric', 'net', '--local', 'off'];
  const [command, script] = VOLLEY_COMMAND;
  const process = new TestProcess(command, [script, 'node', '-p', '0', '--json', ...both]);
  await process.until('line of the node', () => process.stdout.includes('\n'));
  const { port } = JSON.parse(process.stdout.split('\n')[0]!) as { port: number };
  const node = { name: `localhost:${port}`, port, process, socket: null };
  await withNodes([async () => node], async () => {
    await upload(node);
    // The control connection is taken at ::1, the fabric listens at the first address only.
    const { node: one } = await load(node, ['--fabric', 'net']);
    assert.equal([one.transport, one.fallbackChunks], ['fabric', 0], one.transportReason);
  });
  if (zoned === null) return console.log('no link-local address here');
  await withNodes([() => startVolleyNodeAt(zoned, [], both.slice(2))], async (far) => {
    const there = { ...far!, name: `[${zoned}]:${far!.port}` };
    await upload(there);
    const { node: one } = await load(there, ['--fabric', 'net']);
    assert.equal([one.transport, one.fallbackChunks], ['fabric', 0], one.transportReason);
  });
});

test('without libfabric a node runs, a client reads over tcp, and both say so', async () => {
  await withFolder(async (folder) => {
    // What the loader finds first is no library.
    writeFileSync(join(folder, 'libfabric.so.1'), '');
    const without = { LD_LIBRARY_PATH: folder };
    const named = await runCli(['node', '-p', '0', '--fabric', 'net'], without);
    assert.is(named.code, 1);
    assert.match(named.stderr, /libfabric is not installed.*apt-get install libfabric1/);
    await withNodes([startNode, () => startVolleyNode('--local', 'off')], async (node, plain) => {
      await upload(node!);
      const { node: one } = await load(node!, ['--fabric', 'net'], without);
      assert.is(one.transport, 'tcp');
      assert.match(one.transportReason, /libfabric is not installed/);
      await upload(plain!);
      assert.is((await load(plain!, [], without)).node.transport, 'tcp');
    });
    const { stdout } = await runCli(['doctor', '--json'], without);
    const { checks, fabrics } = JSON.parse(stdout) as {
      checks: { name: string; state: string; detail: string }[];
      fabrics: FabricReport;
    };
    assert.is(fabrics.libfabric, null);
    const check = checks.find(({ name }) => name === 'libfabric')!;
    assert.is(check.state, 'limited');
    assert.match(check.detail, /libfabric is not installed/);
  });
});

test('doctor tells of each provider whether it is taken, and why not', async () => {
  const { stdout } = await runCli(['doctor', '--json'], { FI_PROVIDER: 'net,verbs' });
  const { fabrics } = JSON.parse(stdout) as { fabrics: FabricReport };
  assert.is(fabrics.filter, 'net,verbs');
  assert.match(fabrics.libfabric!, /^\d+\.\d+$/);
  const of = (name: string) => fabrics.ways.find(({ provider }) => provider === name)!;
  assert.match(of('net').reason, /FI_PROVIDER=net,verbs asks for it|comes first/);
  assert.match(of('efa').reason, /FI_PROVIDER=net,verbs excludes it/);
  assert.ok(of('verbs').reason.length > 0);
  assert.is(fabrics.ways.filter(({ chosen }) => chosen).length, fabrics.chosen ? 1 : 0);
  const table = await runCli(['doctor'], {});
  assert.match(table.stdout, /net +\S.* msg +no +software only/);
});

test('a node takes what doctor offers, and refuses the others in the words of doctor', async () => {
  const { stdout } = await runCli(['doctor', '--json']);
  const { fabrics } = JSON.parse(stdout) as { fabrics: FabricReport };
  const ways = fabrics.ways.filter(({ device, endpoint }) => device === 'lo' && endpoint !== 'dgram');
  const verdicts = new Map<string, string>();
  for (const { provider, reason } of ways) {
    if (!verdicts.has(provider)) verdicts.set(provider, reason);
  }
  const offered = [...verdicts].filter(([, reason]) => reason.includes('takes it')).map(([name]) => name);
  assert.ok(offered.includes('net') && !offered.includes('sockets'), offered.join());
  for (const [provider, reason] of verdicts) {
    if (!offered.includes(provider)) {
      // What has a second name is taken by it, so that node would start.
      if (/--fabric '?tcp/.test(reason)) continue;
      const { code, stderr } = await runCli(['node', '-p', '0', '--fabric', provider]);
      assert.is(code, 1, provider);
      assert.ok(stderr.includes(reason), `${provider}: ${stderr}`);
      continue;
    }
    await withNodes([() => startVolleyNode('--fabric', provider, '--local', 'off')], async (node) => {
      await withCluster([node!], async (cluster) => {
        assert.is(cluster.nodes[0]!.volley!.all.fabric_provider, provider);
      });
    });
  }
});

test.run();
