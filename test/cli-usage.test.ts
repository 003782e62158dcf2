import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runCli } from './support/cli.js';
import { startMemcached, withNodes } from './support/nodes.js';

const test = suite('cli usage');
const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

test('failures are one line on stderr and exit code 1, with --json also the one document on stdout', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    const environment = { VOLLEY_NODES: node!.name };
    for (const [args, words] of [
      [['load', 'nope', '--out', join(folder, 'x')], /no image "nope"/],
      [['rm', 'nope'], /no image "nope"/],
      [['upload', join(folder, 'none')], /cannot read .*no such file/],
      [['upload', folder], /is a directory/],
      [['upload', '-', '--name', 'a\nb'], /"a\\x0ab" is refused.*1 to 512 bytes/],
      [['load', 'nope', '--out', '/proc/none/x'], /no image/],
      [['images', '--nodes', '127.0.0.1:1'], /127\.0\.0\.1:1 is down: .*refused/],
      [['stats', '--nodes', '127.0.0.1:1'], /127\.0\.0\.1:1 is down/],
    ] as const) {
      const plain = await runCli(args, environment);
      assert.is(plain.code, 1, args.join(' '));
      assert.is(plain.stdout, '');
      assert.match(plain.stderr, words);
      assert.match(plain.stderr, /^volley: [^\n]*\n$/);
    }
    const { code, stdout } = await runCli(['rm', 'nope', '--json'], environment);
    assert.is(code, 1);
    assert.is(JSON.parse(stdout).error.code, 'ERR_VOLLEY_NOT_FOUND');
  });
});

test('wrong usage is told and exits 2', async () => {
  for (const [args, words] of [
    [['load', 'a'], /--out/],
    [['load', '--out', 'x'], /missing required argument 'name'/],
    [['load', 'a', '--out', 'x', '--transport', 'pigeon'], /pigeon/],
    [['upload', '-'], /--name/],
    [['upload', '-', '--kernel', '--name', 'k'], /stdin/],
    [['upload', 'x', '--chunk-size', 'big'], /big/],
    [['rm'], /name of an image or --orphans/],
    [['rm', 'a', '--orphans'], /either/],
    [['rm', 'a', '--min-age', '5'], /--orphans/],
    [['images', '--timeout', '0'], /more than 0/],
    [['images', '--timeout', '5 days'], /"5 days" is no time; give a number with its unit/],
    [['boot', '--kernel', 'k', '--initrd', 'i', '--timeout', 'soon'], /"soon" is no time/],
    [['rm', '--orphans', '--min-age', '1.5s'], /whole number of seconds/],
    [['upload', ''], /empty/],
    [['images', '--tls-ca', ''], /--tls-ca.*empty/],
    [['images', '--nodes', 'a b'], /no storage node/],
    [['images', '--nodes', ','], /list is empty/],
    [['images', '--wrong'], /--wrong/],
    [['fly'], /unknown command 'fly'/],
  ] as const) {
    const { code, stdout, stderr } = await runCli(args);
    assert.is(code, 2, args.join(' '));
    assert.is(stdout, '');
    assert.match(stderr, words);
  }
  const help = await runCli(['upload', '--help']);
  assert.is(help.code, 0);
  assert.match(help.stdout, /Examples:/);
  assert.match((await runCli(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
});

test('stdout cannot take both an image and a document', async () => {
  const { code, stdout, stderr } = await runCli(['load', 'a', '--out', '-', '--json']);
  assert.is(code, 2);
  assert.match(stderr, /both want stdout/);
  assert.is(JSON.parse(stdout).error.code, 'ERR_VOLLEY_USAGE');
});

test('nodes come from --nodes, else VOLLEY_NODES, else the config file', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    const config = join(folder, 'config.json');
    writeFileSync(config, JSON.stringify({ nodes: [node!.name] }));
    const dead = '127.0.0.1:1';
    const good = { code: 0 };
    const run = async (args: string[], environment: NodeJS.ProcessEnv) => {
      const { code } = await runCli(['images', ...args], environment);
      return { code };
    };
    assert.equal(await run([], { VOLLEY_CONFIG: config }), good);
    assert.equal(await run([], { VOLLEY_CONFIG: config, VOLLEY_NODES: dead }), { code: 1 });
    assert.equal(await run(['--nodes', node!.name], { VOLLEY_CONFIG: config, VOLLEY_NODES: dead }), good);
    for (const text of ['{', '[]', '{"nodes": "a"}', '{"nodes": [1]}']) {
      writeFileSync(config, text);
      assert.equal(await run([], { VOLLEY_CONFIG: config }), { code: 2 }, text);
    }
    assert.equal(await run([], { VOLLEY_CONFIG: join(folder, 'none.json') }), { code: 2 });
  });
});

test('doctor tells of every part, and of nodes', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    const { stdout } = await runCli(['doctor', '--json', '--nodes', node!.name]);
    const { checks } = JSON.parse(stdout) as { checks: { name: string; state: string; detail: string }[] };
    const names = checks.map(({ name }) => name);
    for (const name of [
      'transport local',
      'transport tcp',
      'transport fabric',
      'libfabric',
      'rdma devices',
    ]) {
      assert.ok(names.includes(name), name);
    }
    for (const name of ['locked memory', 'hugepages', 'qemu', 'kvm', 'unpack tools']) {
      assert.ok(names.includes(name), name);
    }
    assert.is(checks.find(({ name }) => name === `node ${node!.name}`)!.state, 'good');
    const dead = await runCli(['doctor', '--nodes', '127.0.0.1:1']);
    assert.is(dead.code, 1);
    assert.match(dead.stdout, /node 127\.0\.0\.1:1 +missing/);
  });
});

test.run();
