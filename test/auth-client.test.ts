import { chmodSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster } from '../client/index.js';
import { checkCredentials } from '../src/credentials.js';
import { ALICE, authFile, BOB, temporaryFile } from './support/auth-file.js';
import { runCli } from './support/cli.js';
import { loadBytes, randomImage } from './support/images.js';
import { startMemcached, startVolleyNode, type TestNode, withCluster, withNodes } from './support/nodes.js';
import { ask, statOf } from './support/raw-client.js';
import { rejects } from './support/rejection.js';

const test = suite('clients of nodes with authentication');

const file = authFile();
const closedNode = () => startVolleyNode('-m', '16', '--auth-file', file);
const openNode = () => startVolleyNode('-m', '16');
const NOPE = { user: ALICE.user, password: 'n0pe' };
const environmentOf = ({ user, password }: typeof ALICE) => ({
  VOLLEY_USER: user,
  VOLLEY_PASSWORD: password,
});

for (const transport of ['local', 'tcp'] as const) {
  test(`images are stored, listed, loaded over ${transport} and removed`, async () => {
    await withNodes([closedNode, closedNode], async (...nodes) => {
      const bytes = randomImage(40, 100);
      await withCluster(nodes, (cluster) => cluster.upload(bytes, { name: 'i' }).then(() => {}), {
        credentials: BOB,
      });
      const options = { credentials: ALICE, transport };
      await withCluster(
        nodes,
        async (cluster) => {
          assert.equal(
            (await cluster.images()).map(({ name }) => name),
            ['i'],
          );
          const loaded = await loadBytes(cluster, 'i');
          assert.ok(loaded.bytes.equals(bytes));
          assert.ok(loaded.report.nodes.every((node) => node.transport === transport && node.chunks > 0));
          await cluster.remove('i');
          assert.equal(await cluster.images(), []);
        },
        options,
      );
    });
  });
}

test('no credentials, wrong ones, and right ones of half the nodes: one line that names the node', async () => {
  await withNodes([closedNode, openNode], async (closed, open) => {
    const nodes = [closed!.name, open!.name];
    await rejects(Cluster.connect({ nodes }), 'ERR_VOLLEY_AUTH', closed!.name, 'VOLLEY_USER');
    const refused = await rejects(
      Cluster.connect({ nodes, credentials: NOPE }),
      'ERR_VOLLEY_AUTH',
      closed!.name,
    );
    assert.not.match(refused.message, /n0pe|alice/);
    for (const [environment, words] of [
      [{}, 'wants a user and a password'],
      [environmentOf(NOPE), 'does not take this user and password'],
    ] as const) {
      for (const command of [['images'], ['stats']]) {
        const { code, stderr } = await runCli([...command, '--nodes', nodes.join(',')], environment);
        assert.is(code, 1);
        assert.ok(stderr.includes(`node ${closed!.name} ${words}`), stderr);
        assert.is(stderr.trim().split('\n').length, 1);
        assert.not.match(stderr, /n0pe/);
      }
    }
    const told = await runCli(['images', '--json', '--nodes', closed!.name]);
    assert.is(JSON.parse(told.stdout).error.code, 'ERR_VOLLEY_AUTH');
  });
});

test('a password is not left behind on a node that does not ask for one', async () => {
  await withNodes([openNode], async (node) => {
    const bytes = randomImage(3);
    const options = { credentials: ALICE, transport: 'tcp' } as const;
    await withCluster(
      [node!],
      async (cluster) => {
        await cluster.upload(bytes, { name: 'i' });
        assert.ok((await loadBytes(cluster, 'i')).bytes.equals(bytes));
      },
      options,
    );
    const dump = await ask(node!.port, 'lru_crawler metadump all\r\n', 'END\r\n');
    assert.is(dump.toString().match(/key=/g)?.length, 4);
    assert.not.match(dump.toString(), /login/);
    assert.is(await statOf(node!.port, 'cmd_set'), 5, 'three chunks, and the manifest: replace, then add');
    assert.is(await statOf(node!.port, 'auth_cmds'), 0);
  });
});

test('a stock memcached that does not ask can be used with credentials too', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    const bytes = randomImage(3);
    await withCluster(
      [node!],
      async (cluster) => {
        await cluster.upload(bytes, { name: 'i' });
        assert.ok((await loadBytes(cluster, 'i')).bytes.equals(bytes));
      },
      { credentials: ALICE },
    );
  });
});

test("memjs' own environment variables mean nothing", async () => {
  await withNodes([closedNode], async (node) => {
    const others = { MEMCACHE_USERNAME: ALICE.user, MEMCACHE_PASSWORD: ALICE.password };
    const { code, stderr } = await runCli(['images', '--nodes', node!.name], others);
    assert.is(code, 1);
    assert.match(stderr, /wants a user and a password/);
  });
});

function configOf(node: TestNode): string {
  return temporaryFile(JSON.stringify({ nodes: [node.name], ...ALICE }));
}

test('credentials come from the environment, else from the config file', async () => {
  await withNodes([closedNode], async (node) => {
    const VOLLEY_CONFIG = configOf(node!);
    assert.is((await runCli(['images'], { VOLLEY_CONFIG })).code, 0);
    assert.is((await runCli(['images'], { VOLLEY_CONFIG, ...environmentOf(BOB) })).code, 0);
    assert.is((await runCli(['images'], { VOLLEY_CONFIG, ...environmentOf(NOPE) })).code, 1);
    const doctor = await runCli(['doctor', '--json'], { VOLLEY_CONFIG });
    const { checks } = JSON.parse(doctor.stdout) as { checks: { name: string; state: string }[] };
    assert.is(checks.find(({ name }) => name === `node ${node!.name}`)?.state, 'good');
  });
});

test('a config file with a password that others may read is refused; one without a password may be read', async () => {
  await withNodes([closedNode], async (node) => {
    const VOLLEY_CONFIG = configOf(node!);
    chmodSync(VOLLEY_CONFIG, 0o644);
    const { code, stderr } = await runCli(['images'], { VOLLEY_CONFIG });
    assert.is(code, 2);
    assert.match(stderr, /it holds a password and others may use it; run: chmod 600/);
    const open = temporaryFile(JSON.stringify({ nodes: [node!.name] }), 0o644);
    const named = await runCli(['images'], { VOLLEY_CONFIG: open, ...environmentOf(ALICE) });
    assert.is(named.code, 0, named.stderr);
  });
});

test('half of the credentials, or unacceptable ones, are wrong usage, and are not quoted', async () => {
  const cases: [NodeJS.ProcessEnv, RegExp][] = [
    [{ VOLLEY_USER: 'alice' }, /VOLLEY_USER is set and VOLLEY_PASSWORD is not/],
    [{ VOLLEY_PASSWORD: 's3cret' }, /VOLLEY_PASSWORD is set and VOLLEY_USER is not/],
    [{ VOLLEY_USER: 'alice', VOLLEY_PASSWORD: 's3cret word' }, /password for the nodes is not acceptable/],
    [{ VOLLEY_CONFIG: temporaryFile('{"user": "alice"}') }, /"user" and "password" are not both there/],
    [{ VOLLEY_CONFIG: temporaryFile('{"user": "alice", "password": s3cret}') }, /it is not JSON/],
  ];
  for (const [environment, words] of cases) {
    const { code, stderr } = await runCli(['images', '--nodes', '127.0.0.1:1'], environment);
    assert.is(code, 2, stderr);
    assert.match(stderr, words);
    assert.not.match(stderr, /s3cret/);
  }
  assert.throws(() => checkCredentials({ user: 'a:b', password: 'x' }), /nor a colon/);
  assert.throws(() => checkCredentials({ user: 'a', password: 'x'.repeat(254) }), /more than 254 bytes/);
});

test('a node that cannot use its auth file does not start', async () => {
  const local = join(tmpdir(), `volley-test-${process.pid}.sock`);
  const loose = temporaryFile('a:s3cret\n', 0o644);
  const { code, stderr, stdout } = await runCli(['node', '-p', '0', '--local', local, '-Y', loose]);
  assert.is(code, 1);
  assert.is(stdout, '');
  assert.match(stderr, /^volley: the auth file .* chmod 600 \S+\n$/);
  rmSync(local, { force: true });
});

test.run();
