// Run in the verbs VM: what node and client say where memory cannot be locked, where there is no RDMA device, where its port
// is down, and where it leads elsewhere. Needs the module veth.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster, type LoadReport } from '../../client/index.js';
import { SMALL_NODE } from '../support/fabric.js';
import { HOST } from '../support/host.js';
import { loadBytes, randomImage } from '../support/images.js';
import { NetworkNamespace } from '../support/network-namespace.js';
import { startVolleyNodeAt, type TestNode, VOLLEY_COMMAND } from '../support/nodes.js';
import { run } from './commands.js';

const COMMAND_TIMEOUT_MS = 30_000;
/** A device of its own, whose link can be taken away without harm to others. */
const LINK = { device: 'rdma-weak', name: 'weak', plug: 'weak-plug', address: '10.8.0.1' };
/** May lock 64 kB, as an ordinary user; is still root, so that it may read this tree wherever that lies. */
const UNPRIVILEGED = [
  'prlimit',
  '--memlock=65536',
  'setpriv',
  '--bounding-set=-ipc_lock',
  '--inh-caps=-ipc_lock',
];
const NODE_OPTIONS = ['-p', '0', '-m', '32', '--table-items', '1024', '--hugepages', 'off', '--local', 'off'];
const content = randomImage(40);
const test = suite('errors over verbs');
const folder = mkdtempSync(join(tmpdir(), 'volley-errors-'));

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end; a node that would not end by itself is stopped when it listens. */
function ended(...command: string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0]!, command.slice(1), { timeout: COMMAND_TIMEOUT_MS });
    const said = { stdout: '', stderr: '' };
    child.stdout.on('data', (bytes) => {
      said.stdout += bytes;
      if (said.stdout.includes('"event":"listening"')) child.kill('SIGKILL');
    });
    child.stderr.on('data', (bytes) => {
      said.stderr += bytes;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...said }));
  });
}

function startNode(within: string[], address: string, fabric: string): Promise<Ended> {
  return ended(
    ...within,
    ...VOLLEY_COMMAND,
    'node',
    '--json',
    '-l',
    address,
    '--fabric',
    fabric,
    ...NODE_OPTIONS,
  );
}

let outputs = 0;
function load(within: string[], node: string, transport: string): Promise<Ended> {
  const out = join(folder, `out-${outputs++}`);
  const args = ['load', 'image', '--out', out, '--transport', transport, '--nodes', node, '--json'];
  return ended(...within, ...VOLLEY_COMMAND, ...args);
}

/** Demands exit code 1 and one line on stderr that tells all of it. */
function checkRefused({ code, stderr }: Ended, ...words: (string | RegExp)[]): void {
  assert.is(code, 1, stderr);
  const line = stderr.split('\n').find((text) => text.startsWith('volley: ')) ?? '';
  for (const word of words) assert.match(line, word, stderr);
}

const started: TestNode[] = [];

/** Starts a node over verbs that holds the image. It lives as long as the tests do. */
async function startWithImage(address: string): Promise<string> {
  const node = await startVolleyNodeAt(address, [], SMALL_NODE);
  started.push(node);
  const cluster = await Cluster.connect({ nodes: [node.name], timeoutMs: 5000 });
  await cluster.upload(content, { name: 'image' });
  await cluster.close();
  return node.name;
}

/** Why a client in this process takes another transport. */
async function reasonOfAuto(node: string): Promise<string> {
  const cluster = await Cluster.connect({ nodes: [node], timeoutMs: 5000 });
  try {
    const { bytes, report } = await loadBytes(cluster, 'image');
    assert.ok(bytes.equals(content));
    assert.is(report.nodes[0]!.transport, 'tcp');
    return report.nodes[0]!.transportReason;
  } finally {
    await cluster.close();
  }
}

test('memory that cannot be locked: the limit is told, and how to raise it', async () => {
  const words = [/cannot register \d+ kB/, /limit of locked memory is 64 kB/, /ulimit -l/, /LimitMEMLOCK=/];
  const [refused, loaded] = await Promise.all([
    startNode(UNPRIVILEGED, HOST, 'verbs'),
    load(UNPRIVILEGED, node, 'auto'),
  ]);
  checkRefused(refused, ...words);
  assert.is(loaded.code, 0, loaded.stderr);
  // Small reads can be registered, the image's memory cannot: every chunk came over tcp, and it is told why.
  const report = (JSON.parse(loaded.stdout) as LoadReport).nodes[0]!;
  assert.is(report.fallbackChunks, 40);
  for (const word of words) assert.match(report.fallbackReason, word);
});

test('no RDMA device: it is said of this host', async () => {
  const words = [/no RDMA device/, /rdma link add/];
  await NetworkNamespace.use(async (bare) => {
    const gateway = bare.host.replace(/\d+$/, (last) => String(Number(last) - 1));
    run(...bare.command('ip', 'route', 'add', HOST, 'via', gateway));
    const within = bare.command(
      'unshare',
      '--mount',
      'sh',
      '-c',
      'mount -t sysfs sysfs /sys && exec "$@"',
      'sh',
    );
    const [refused, offered, notLoaded, loaded, elsewhere] = await Promise.all([
      startNode(within, bare.host, 'verbs'),
      startNode(within, bare.host, 'auto'),
      load(within, node, 'fabric'),
      load(within, node, 'auto'),
      startNode([], gateway, 'verbs'),
    ]);
    checkRefused(refused, ...words);
    assert.match(offered.stdout, '"event":"listening"', offered.stderr);
    checkRefused(notLoaded, ...words, node, '--transport auto');
    const report = (JSON.parse(loaded.stdout) as LoadReport).nodes[0]!;
    assert.is(report.transport, 'tcp');
    for (const word of words) assert.match(report.transportReason, word);
    // This host's devices are up, but not on the network of the cable to there.
    checkRefused(elsewhere, 'rxe0 on eth0', 'not on a network with', gateway);
  });
});

test('a port that is down: it is told with its interface', async () => {
  const { device, name, plug, address } = LINK;
  const words = [`${device} on ${name} is DOWN`, address, 'bring the link up'];
  run('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', plug);
  run('ip', 'address', 'add', `${address}/24`, 'dev', name);
  run('ip', 'link', 'set', name, 'up');
  run('ip', 'link', 'set', plug, 'up');
  run('rdma', 'link', 'add', device, 'type', 'rxe', 'netdev', name);
  const weak = await startWithImage(address);
  run('ip', 'link', 'set', plug, 'down');
  const [refused, notLoaded, reason] = await Promise.all([
    startNode([], address, 'verbs'),
    load([], weak, 'fabric'),
    reasonOfAuto(weak),
  ]);
  checkRefused(refused, ...words);
  checkRefused(notLoaded, ...words, weak, '--transport auto');
  for (const word of words) assert.match(reason, word);
});

// Devices are in this network namespace only, not in all.
run('rdma', 'system', 'set', 'netns', 'exclusive');
const node = await startWithImage(HOST);
test.after(async () => {
  await Promise.all(started.map((one) => one.process.kill()));
  rmSync(folder, { recursive: true, force: true });
});
test.run();
