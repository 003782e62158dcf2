import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDescriptorBudget } from '../server/descriptor-budget.js';
import type { StorageNode } from '../server/index.js';
import { HOST } from './support/host.js';
import { RawClient } from './support/memcached.js';
import { VOLLEY_COMMAND } from './support/nodes.js';
import { TestProcess } from './support/processes.js';
import { ask } from './support/raw-client.js';
import { clientOf, RunningNodes } from './support/running-nodes.js';

const test = suite('what a node needs to start');
const folder = mkdtempSync(join(tmpdir(), 'volley-start-'));
const { start: started, stop } = new RunningNodes({ memoryBytes: 4 * 1024 * 1024, logLevel: 'silent' });
test.after.each(stop);
test.after(() => rmSync(folder, { recursive: true, force: true }));

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** What a node answers to whoever connects now, or null when it does not listen. */
function transportsNow(port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect(port, HOST);
    let text = '';
    socket.on('connect', () => socket.write('stats volley\r\n'));
    socket.on('data', (bytes) => {
      text += bytes;
      if (text.endsWith('END\r\n')) socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(/STAT transports (.*)\r/.exec(text)?.[1] ?? null));
  });
}

test('whoever connects to a node that starts is told of all ways in which it can be read', async () => {
  const port = await freePort();
  const local = join(folder, 'region.sock');
  const args = ['node', '-l', HOST, '-p', String(port), '-m', '4', '--local', local, '--fabric', 'net'];
  const [command, script] = VOLLEY_COMMAND;
  const node = new TestProcess(command, [script, ...args]);
  try {
    const deadline = AbortSignal.timeout(30_000);
    let told: string | null = null;
    while (told === null && !deadline.aborted) told = await transportsNow(port);
    assert.is(told, 'local,fabric,tcp');
  } finally {
    await node.kill();
  }
});

/** Runs volley as a user who is in no passwd file and has no HOME, as containers start it. */
async function asNobody(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { PATH } = process.env;
  const nobody = ['--user', '--map-user=54321', '--map-group=54321', 'env', '-i', `PATH=${PATH}`];
  const run = new TestProcess('unshare', [...nobody, ...VOLLEY_COMMAND, ...args]);
  run.child.stdin!.end();
  const code = await run.ended();
  return { code, stdout: run.stdout, stderr: run.stderr };
}

test('every command works for a user without passwd entry and without HOME', async () => {
  const { PATH } = process.env;
  const nobody = ['--user', '--map-user=54321', '--map-group=54321', 'env', '-i', `PATH=${PATH}`];
  const args = ['node', '-l', HOST, '-p', '0', '-m', '8', '--json', '--fabric', 'off'];
  const node = new TestProcess('unshare', [...nobody, ...VOLLEY_COMMAND, ...args]);
  try {
    await node.until('line of the node', () => node.stdout.includes('\n'));
    const nodes = `${HOST}:${JSON.parse(node.stdout).port}`;
    const image = join(folder, 'image');
    const copy = join(folder, 'copy');
    writeFileSync(image, 'content of an image'.repeat(5000));
    for (const args of [
      ['upload', image, '--name', 'one'],
      ['images'],
      ['load', 'one', '--out', copy],
      ['stats'],
      ['rm', 'one'],
    ]) {
      const { code, stderr } = await asNobody(...args, '--nodes', nodes);
      assert.is(code, 0, `${args[0]}: ${stderr}`);
    }
    assert.equal(readFileSync(copy), readFileSync(image));
    const boot = await asNobody('boot', '--kernel', 'none', '--initrd', 'none', '--nodes', nodes);
    assert.match(boot.stderr, /there is no image "none"/);
    const doctor = await asNobody('doctor', '--nodes', nodes);
    assert.ok(doctor.stdout.includes(nodes), doctor.stderr);
    node.signal('SIGTERM');
    assert.is(await node.ended(), 0);
  } finally {
    await node.kill();
  }
});

const NEEDS = { maxConnections: 1000, isAskedFor: true, threads: 1, fabric: false };

test('the limit of descriptors is raised to what the connections need', () => {
  let wanted = 0;
  const budget = openDescriptorBudget(NEEDS, (count) => {
    wanted = count;
    return count;
  });
  assert.ok(wanted >= 1000);
  assert.is(budget.maxConnections, 1000);
  assert.is(budget.notice, null);
  assert.ok(budget.descriptorsMax >= 1000);
});

test('more connections than the limit allows are refused with both numbers, and by default fewer are served', () => {
  const allowed = () => 600;
  assert.throws(
    () => openDescriptorBudget(NEEDS, allowed),
    /^1000 connections \(-c\) need 1200 file descriptors, and this process may open 600; .* or give -c 400$/,
  );
  const budget = openDescriptorBudget({ ...NEEDS, isAskedFor: false }, allowed);
  assert.is(budget.maxConnections, 400);
  assert.match(budget.notice!, /may open 600: only 400 are served/);
  assert.throws(() => openDescriptorBudget({ ...NEEDS, isAskedFor: false }, () => 100), /may open 100/);
});

test('a node that may not open enough descriptors does not start', async () => {
  const limited = ['--nofile=300:300', 'setpriv', '--bounding-set=-sys_resource', ...VOLLEY_COMMAND];
  const args = ['node', '-l', HOST, '-p', '0', '-m', '4', '--local', 'off', '--fabric', 'off'];
  const refused = new TestProcess('prlimit', [...limited, ...args, '-c', '2000']);
  assert.is(await refused.ended(), 1);
  assert.match(refused.stderr, /^volley: 2000 connections .* may open 300; .*\n$/);
  const fewer = new TestProcess('prlimit', [...limited, ...args, '--json']);
  try {
    await fewer.until('line of the node', () => fewer.stdout.includes('\n'));
    const { port } = JSON.parse(fewer.stdout);
    assert.match((await ask(port, 'stats\r\n', 'END\r\n')).toString(), /STAT max_connections 100\r/);
  } finally {
    await fewer.kill();
  }
});

test('who comes when descriptors run out is told so, counted, and logged once in a while', async () => {
  const node = await started({ logLevel: 'warn', local: 'off', fabric: 'off' });
  const logged: unknown[] = [];
  const inner = node as unknown as { clients: { descriptorsMax: number; log: unknown } };
  inner.clients.log = { warn: (fields: unknown) => logged.push(fields), debug() {}, info() {} };
  const kept = clientOf(node);
  await kept.send('version\r\n').answer('\r\n');
  inner.clients.descriptorsMax = 0;
  for (let i = 0; i < 5; i++) {
    assert.is(
      await new RawClient({ host: HOST, port: node.port }).answer(),
      'ERROR Too many open connections\r\n',
    );
  }
  const stats = await kept.send('stats volley\r\n').answer('END\r\n');
  assert.match(stats, /STAT rejected_for_resources 5\r/);
  assert.is((node as StorageNode).counters.rejectedConnections, 5);
  assert.is(logged.length, 1);
  await kept.close();
});

test.run();
