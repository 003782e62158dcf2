import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dialFirst } from '../client/dial-first.js';
import { Cluster } from '../client/index.js';
import { FullBacklog } from './support/full-backlog.js';
import { loadBytes, randomImage } from './support/images.js';
import {
  startMemcached,
  startVolleyNode,
  startVolleyNodeAt,
  VOLLEY_COMMAND,
  withCluster,
  withNodes,
} from './support/nodes.js';
import { TestProcess } from './support/processes.js';
import { rejects } from './support/rejection.js';

const test = suite('client addresses');
const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
test.after(() => rmSync(folder, { recursive: true }));

/** Runs the volley command where a host name has these addresses, in this order. */
async function runWithHost(addresses: readonly string[], name: string, args: readonly string[]) {
  const hosts = join(folder, 'hosts');
  writeFileSync(hosts, addresses.map((address) => `${address} ${name}\n`).join(''));
  const script = `mount --bind ${hosts} /etc/hosts && exec "$@"`;
  const command = ['--mount', 'sh', '-c', script, 'sh', ...VOLLEY_COMMAND, ...args];
  const run = new TestProcess('unshare', command, { HOME: '/nonexistent', VOLLEY_NODES: '' });
  run.child.stdin!.end();
  return { code: await run.ended(), stdout: run.stdout, stderr: run.stderr };
}

test('of a host with several addresses the first that takes a connection is used, also where others say nothing', async () => {
  await FullBacklog.use('127.0.0.3', async (silent) => {
    await withNodes([() => startMemcached('-p', String(silent.port))], async (node) => {
      const { port } = node!;
      for (const addresses of [
        ['127.0.0.2', '127.0.0.1'],
        ['127.0.0.3', '127.0.0.2', '127.0.0.1'],
        ['127.0.0.3', '127.0.0.1', '127.0.0.2'],
      ]) {
        const { socket, address } = await dialFirst(addresses, port);
        assert.is(address, '127.0.0.1', String(addresses));
        socket.destroy();
      }
    });
    const controller = new AbortController();
    const dialing = rejects(
      dialFirst(['127.0.0.2', '127.0.0.3'], silent.port, controller.signal),
      'ERR_VOLLEY_ABORTED',
    );
    setTimeout(() => controller.abort(), 50);
    await dialing;
  });
});

test('a host name whose first address is refused is used by every path', async () => {
  const starts = [() => startMemcached(), () => startVolleyNode('--local', 'off', '--fabric', 'off')];
  await withNodes(starts, async (...nodes) => {
    for (const { port } of nodes) {
      const content = randomImage(30);
      const file = join(folder, 'image');
      writeFileSync(file, content);
      const at = (args: readonly string[]) =>
        runWithHost(['::1', '127.0.0.2', '127.0.0.1'], 'two.test', [...args, '--nodes', `two.test:${port}`]);
      for (const args of [
        ['upload', file, '--name', 'a'],
        ['load', 'a', '--out', join(folder, 'copy')],
        ['images'],
        ['stats'],
        ['rm', 'a'],
      ]) {
        const { code, stderr } = await at(args);
        assert.is(code, 0, `${args[0]}: ${stderr}`);
      }
    }
  });
});

test('a host none of whose addresses takes a connection is told with all of them, within one deadline', async () => {
  const refused = await runWithHost(['127.0.0.2', '127.0.0.3'], 'two.test', [
    'images',
    '--nodes',
    'two.test:1',
  ]);
  assert.is(refused.code, 1);
  assert.match(
    refused.stderr,
    /node two\.test:1 is down: the connection was refused; .*\(127\.0\.0\.2, 127\.0\.0\.3\)/,
  );
});

test('a node whose queue of new connections is full is not called dead', async () => {
  await FullBacklog.use('127.0.0.1', async (node) => {
    const startMs = performance.now();
    const connecting = Cluster.connect({ nodes: [`127.0.0.1:${node.port}`], timeoutMs: 500 });
    await rejects(connecting, 'ERR_VOLLEY_TIMEOUT', 'took no connection within 500 ms', 'queue', '-c');
    assert.ok(performance.now() - startMs < 1500);
  });
});

/** A link-local address of this host with its zone, such as fe80::1%eth0. */
function linkLocal(): string | undefined {
  for (const [zone, addresses = []] of Object.entries(networkInterfaces())) {
    const found = addresses.find(({ address }) => address.startsWith('fe80:'));
    if (found) return `${found.address}%${zone}`;
  }
  return undefined;
}

test('a node is reached by the link-local address with a zone that it prints as its own', async () => {
  const address = linkLocal();
  if (!address) return console.log('cannot be tested here: no interface has a link-local address');
  const start = () => startVolleyNodeAt(address, [], ['--local', 'off', '--fabric', 'off']);
  await withNodes([start], async (node) => {
    const nodes = [{ name: `[${address}]:${node!.port}` }];
    await withCluster(nodes, async (cluster) => {
      const content = randomImage(30);
      await cluster.upload(content, { name: 'a' });
      assert.is(cluster.nodes[0]!.address, address);
      assert.ok((await loadBytes(cluster, 'a')).bytes.equals(content));
    });
  });
});

test.run();
