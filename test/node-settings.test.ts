import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configure } from '../bin/node/configuration.js';
import { EXTENDED, readExtendedOptions } from '../bin/node/extended-options.js';
import { FOREIGN_FLAGS, judgeForeignFlag } from '../bin/node/memcached-flags.js';
import { SETTINGS, settingOf, variableOf } from '../bin/node/settings.js';
import { type NodeOptions, StorageNode } from '../server/index.js';
import { parseListenAddresses } from '../server/listen-address.js';
import { resolveOptions } from '../server/options.js';
import { ROOT } from '../src/root.js';
import { runCli, startCli } from './support/cli.js';
import { RawClient, until } from './support/memcached.js';

const test = suite('node settings');
const MIB = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), 'volley-settings-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

function configFile(content: unknown): string {
  const path = join(folder, 'config.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content, null, 2));
  return path;
}

const flag = (name: string, text: string) =>
  ({ setting: settingOf(name)!, text, origin: `--${name}`, source: 'flag' }) as const;

test('a flag counts more than the environment, that more than the file, the file more than the default', () => {
  const node = { port: 1, 'conn-limit': 1, 'memory-limit': '8M', listen: ['127.0.0.1', '127.0.0.2'] };
  const environment = { VOLLEY_NODE_PORT: '2', VOLLEY_NODE_CONN_LIMIT: '2', VOLLEY_NODE_NAME: '', PATH: 'x' };
  const path = configFile({ node });
  const { options, effective } = configure([flag('port', '3')], environment, path);
  assert.is(options.port, 3);
  assert.is(options.maxConnections, 2);
  assert.is(options.memoryBytes, 8 * MIB);
  assert.is(options.address, '127.0.0.1,127.0.0.2');
  assert.is(options.backlog, 1024);
  const told = (name: string) => effective.find((one) => one.name === name)!;
  assert.equal(told('port'), { name: 'port', value: '3', source: 'flag', origin: '--port' });
  assert.is(told('conn-limit').origin, 'VOLLEY_NODE_CONN_LIMIT');
  assert.is(told('memory-limit').origin, `${path}: "memory-limit"`);
  assert.is(told('listen-backlog').source, 'default');
  assert.is(effective.length, SETTINGS.length);
});

test('what is dumped can be given again, and comes out the same', () => {
  const flags = [flag('memory-limit', '1.5'), flag('idle-timeout', '1.5'), flag('unix-mask', '770')];
  const first = configure([...flags, flag('disable-flush-all', 'on')], {}, configFile({}));
  const given = first.effective.filter(({ value }) => value !== '');
  const environment = Object.fromEntries(
    given.map(({ name, value }) => [variableOf(settingOf(name)!), value]),
  );
  const second = configure([], environment, configFile({}));
  assert.equal({ ...second.options }, { ...first.options });
});

test('what a config file tells wrongly is named with file, line and key', () => {
  for (const [content, words] of [
    [
      '{\n "node": {\n  "prot": 1\n }\n}',
      /config\.json cannot be used: "node\.prot" in line 3 is unknown; known are listen, port/,
    ],
    ['{\n "nodez": []\n}', /"nodez" in line 2 is unknown/],
    ['{\n "node": {,}\n}', /not JSON \(line 2\)/],
    ['{"node": []}', /"node" is no object/],
    ['{"node": {"port": "x"}}', /config\.json: "port": "x" is no whole number/],
    ['{"node": {"port": {}}}', /"port" must be a text/],
    ['{"node": {"port": 70000}}', /the port is 70000/],
  ] as const) {
    const path = configFile(content);
    assert.throws(
      () => configure([], {}, path),
      (error: Error) => words.test(error.message),
      content,
    );
  }
  assert.throws(
    () => configure([], { VOLLEY_NODE_PROT: '1' }, configFile({})),
    /VOLLEY_NODE_PROT is no setting/,
  );
});

test('--dump-config prints what is in effect and no password, and starts nothing', async () => {
  const path = configFile({ user: 'u', password: 's3cret', node: { 'auth-file': '/a/file' } });
  const { code, stdout, stderr } = await runCli([
    'node',
    '--config',
    path,
    '-p',
    '5',
    '-vv',
    '--dump-config',
  ]);
  assert.is(code, 0, stderr);
  assert.match(stdout, /^port = 5 +# flag: -p$/m);
  assert.match(stdout, /^auth-file = \/a\/file +# file: .*config\.json: "auth-file"$/m);
  assert.match(stdout, /^verbose = 2 /m);
  assert.not.match(stdout, /s3cret/);
  const { settings } = JSON.parse((await runCli(['node', '--dump-config', '--json'])).stdout);
  assert.equal(settings[1], { name: 'port', value: '11211', source: 'default', origin: '' });
});

test('each of memcached’s flags is a setting, accepted, or refused with what to do', () => {
  const letters = new Set([...SETTINGS.map(({ letter }) => `-${letter}`), '-P', '-o', '-h']);
  for (const { flags } of FOREIGN_FLAGS) letters.add(flags.slice(0, 2));
  for (const letter of 'psaAldrumMckvPfnLDtRCbBISFXWYeZoNU') assert.ok(letters.has(`-${letter}`), letter);
  const judge = (start: string, value: string | null) =>
    judgeForeignFlag(FOREIGN_FLAGS.find(({ flags }) => flags.startsWith(start))!, value);
  assert.is(judge('-U', '0'), null);
  assert.match(judge('-f', '1.25')!, /^-f 1\.25 has no effect: /);
  assert.throws(() => judge('-U', '11211'), /-U 11211 is not possible: UDP/);
  assert.throws(() => judge('-d', null), /-d is not possible: .*systemd/);
  assert.throws(() => judge('-N', '4'), /-N 4 is not possible/);
});

test('-M and -e are the settings that they mean', async () => {
  const dumped = async (...flags: string[]) => {
    const { code, stdout, stderr } = await runCli(['node', ...flags, '--dump-config', '--json']);
    assert.is(code, 0, stderr);
    const { settings } = JSON.parse(stdout) as {
      settings: { name: string; value: string; origin: string }[];
    };
    return (name: string) => settings.find((one) => one.name === name)!;
  };
  const strict = await dumped('--on-full', 'evict', '-M');
  assert.equal([strict('on-full').value, strict('on-full').origin], ['error', '-M']);
  // Without -M memcached evicts, and a node does not.
  assert.is((await dumped('-m', '8'))('on-full').value, 'error');
  const kept = await dumped('-e', '/dev/shm/kept', '-D', '.');
  assert.equal([kept('region').value, kept('region').origin], ['/dev/shm/kept', '-e']);
  assert.equal([kept('prefix-delimiter').value, kept('prefix-delimiter').origin], ['.', '-D']);
});

test('each option of a node can be set from outside', () => {
  const fields = SETTINGS.map(({ field }) => field).sort();
  assert.equal(fields, Object.keys(resolveOptions({})).sort());
});

test('-o is understood as far as it means something', () => {
  const { settings, notes } = readExtendedOptions('idle_timeout=7,ssl_verify_mode=2,modern,hashpower=20');
  assert.equal(
    settings.map(({ name, text }) => [name, text]),
    [
      ['idle-timeout', '7'],
      ['tls-verify', 'require'],
    ],
  );
  assert.is(notes.length, 1);
  assert.throws(() => readExtendedOptions('ext_path=/x:1G'), /ext_path is not possible/);
  assert.throws(() => readExtendedOptions('toString'), /toString is unknown/);
  assert.throws(() => readExtendedOptions('idle_timeout'), /wants a value/);
  assert.throws(() => readExtendedOptions('ssl_min_version=0'), /none of 2, 3/);
});

/** What memcached 1.6.18 takes behind -o, as its source and its -h tell. */
const EXTENDED_OF_MEMCACHED = `maxconns_fast no_maxconns_fast hashpower no_hashexpand hash_algorithm tail_repair_time
  slab_reassign no_slab_reassign slab_automove no_slab_automove slab_automove_ratio slab_automove_window slab_sizes
  slab_chunk_max no_chunked_items lru_crawler no_lru_crawler lru_crawler_sleep lru_crawler_tocrawl lru_maintainer
  no_lru_maintainer hot_lru_pct warm_lru_pct hot_max_factor warm_max_factor temporary_ttl idle_timeout watcher_logbuf_size
  worker_logbuf_size track_sizes inline_ascii_resp no_inline_ascii_resp modern no_modern drop_privileges no_drop_privileges
  relaxed_privileges resp_obj_mem_limit read_buf_mem_limit ssl_chain_cert ssl_key ssl_verify_mode ssl_keyformat ssl_ciphers
  ssl_ca_cert ssl_wbuf_size ssl_session_cache ssl_kernel_tls ssl_min_version proxy_config proxy_uring sock_cookie_id
  ext_path ext_page_size ext_page_count ext_io_depth ext_threads ext_item_size ext_item_age ext_low_ttl ext_recache_rate
  ext_compact_under ext_drop_under ext_max_frag ext_drop_unread ext_max_sleep slab_automove_freeratio`;

test('each of memcached’s -o options is a setting, accepted, or refused in a sentence, and documented', () => {
  const page = readFileSync(join(ROOT, 'docs', 'node.md'), 'utf8');
  for (const name of EXTENDED_OF_MEMCACHED.split(/\s+/)) {
    const isSetting = EXTENDED[name]?.setting !== undefined;
    try {
      const { settings, notes } = readExtendedOptions(name);
      assert.not.ok(isSetting, `${name} without its value`);
      assert.is(settings.length, 0);
      for (const note of notes) assert.match(note, new RegExp(`^-o ${name} has no effect: \\w+ `));
    } catch (error) {
      assert.match(
        (error as Error).message,
        new RegExp(`^-o ${name} (wants a value|is not possible: \\w+ )`),
      );
    }
    assert.ok(page.includes(name.startsWith('ext_') ? '`ext_…`' : `\`${name}\``), `docs/node.md: ${name}`);
  }
});

/** Starts a node, does the work and stops it, whatever comes of it. */
async function withNode(
  given: Partial<NodeOptions>,
  work: (node: StorageNode) => Promise<void>,
): Promise<void> {
  const node = new StorageNode({ memoryBytes: 2 * MIB, ...given });
  try {
    await node.start();
    await work(node);
  } finally {
    await node.stop();
  }
}

/** Whether somebody listens there. */
function isOpen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host, () => resolve(true)).on('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

test('every listener of a node is on loopback alone unless told otherwise', async () => {
  await withNode({ port: 0, local: 'off', fabric: 'net', metricsListen: '0' }, async (node) => {
    for (const port of [node.port, node.metricsPort, node.fabric.offer!.port]) {
      assert.is(await isOpen('127.0.0.1', port), true);
      assert.is(await isOpen('127.0.0.2', port), false);
      assert.is(await isOpen('::1', port), false);
    }
  });
});

test('addresses are read as memcached reads them', () => {
  assert.equal(parseListenAddresses('127.0.0.1, [::1]:5,notls:10.0.0.1:7'), [
    { host: '127.0.0.1', port: null, plain: false },
    { host: '::1', port: 5, plain: false },
    { host: '10.0.0.1', port: 7, plain: true },
  ]);
  assert.is(parseListenAddresses('::1')[0]!.host, '::1');
  for (const wrong of ['', 'localhost', '1.2.3.4:x', '1.2.3.4:70000', '[::1', '127.0.0.1,']) {
    assert.throws(() => parseListenAddresses(wrong), /is no IP address/, wrong);
  }
});

test('a node listens on all addresses it was given, on the same free port, and on no other', async () => {
  await withNode({ address: '127.0.0.1,127.0.0.3', port: 0, local: 'off' }, async ({ port }) => {
    assert.is(await isOpen('127.0.0.1', port), true);
    assert.is(await isOpen('127.0.0.3', port), true);
    assert.is(await isOpen('127.0.0.2', port), false);
  });
});

test('with -D commands are counted by prefix from the start, up to that character', async () => {
  await withNode({ port: 0, local: 'off', prefixDelimiter: '.' }, async ({ port }) => {
    const client = new RawClient({ host: '127.0.0.1', port });
    client.send('get a:b.c\r\nstats detail dump\r\nstats settings\r\nquit\r\n');
    const answer = await client.answer();
    assert.match(answer, /^PREFIX a:b get 1 hit 0 set 0 del 0\r$/m);
    assert.match(answer, /^STAT stat_key_prefix \.\r$/m);
    assert.match(answer, /^STAT detail_enabled yes\r$/m);
  });
  assert.throws(() => new StorageNode({ prefixDelimiter: '::' }), /\(-D\) is one character/);
});

test('a unix socket takes the place of TCP, has the mode it was given, and is gone at the end', async () => {
  const path = join(folder, 'node.sock');
  for (let round = 0; round < 2; round++) {
    await withNode({ socketPath: path, socketMode: 0o770 }, async (node) => {
      assert.is(node.port, 0);
      assert.is(node.name, path);
      assert.is(node.localPath, `${path}.region`);
      assert.is(statSync(path).mode & 0o777, 0o770);
      const client = new RawClient({ path });
      assert.match(await client.send('version\r\n').answer('\r\n'), /^VERSION/);
      await client.close();
    });
    assert.not.ok(existsSync(path));
  }
});

test('the pidfile is there while the node runs; a second SIGTERM ends it at once', async () => {
  const pidfile = join(folder, 'pid');
  const node = startCli(['node', '-p', '0', '-m', '2', '--local', 'off', '--json', '-P', pidfile]);
  await node.until('the first line', () => node.stdout.includes('\n'));
  const { pid, port } = JSON.parse(node.stdout);
  assert.is(readFileSync(pidfile, 'latin1'), `${pid}\n`);
  const client = new RawClient({ host: '127.0.0.1', port }).send('set a 0 0 10\r\nhalf');
  const probe = new RawClient({ host: '127.0.0.1', port });
  await probe.send('version\r\n').answer('\r\n');
  process.kill(pid, 'SIGTERM');
  await probe.answer();
  const startMs = performance.now();
  process.kill(pid, 'SIGTERM');
  assert.is(await node.ended(), 1);
  assert.ok(performance.now() - startMs < 3000);
  assert.not.ok(existsSync(pidfile));
  await client.close();
});

test('the log is JSON lines when stderr is no terminal, lines for people when asked, and tells no key', async () => {
  for (const format of ['auto', 'text']) {
    const node = startCli([
      'node',
      '-p',
      '0',
      '-m',
      '2',
      '--local',
      'off',
      '--json',
      '-vv',
      '--log-format',
      format,
    ]);
    await node.until('the first line', () => node.stdout.includes('\n'));
    const { port } = JSON.parse(node.stdout);
    const client = new RawClient({ host: '127.0.0.1', port });
    assert.is(await client.send('set secretkey 0 0 8\r\nsecretva\r\n').answer('\r\n'), 'STORED\r\n');
    await client.close();
    await node.until('the log', () => node.stderr.includes('closed'));
    node.signal('SIGTERM');
    assert.is(await node.ended(), 0);
    assert.not.match(node.stderr, /secret/);
    const lines = node.stderr.trim().split('\n');
    if (format === 'text')
      assert.match(lines.join('\n'), /^\d\d:\d\d:\d\d\.\d{3} debug \S+ connected peer=127\.0\.0\.1:\d+$/m);
    else
      assert.ok(
        lines
          .map((line) => JSON.parse(line))
          .some(({ msg, level }) => msg === 'connected' && level === 'debug'),
      );
  }
});

test('a client that says nothing, or stops in mid-command, is closed and counted', async () => {
  const timeouts = { idleTimeoutMs: 300, stallTimeoutMs: 300, logLevel: 'silent' } as const;
  await withNode({ port: 0, local: 'off', ...timeouts }, async ({ port, counters }) => {
    const silent = new RawClient({ host: '127.0.0.1', port });
    const half = new RawClient({ host: '127.0.0.1', port }).send('set a 0 0 10\r\nhalf');
    await until(() => silent.closed && half.closed, 'both to be closed');
    assert.is(counters.shedConnections, 2);
  });
});

test.run();
