import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configure } from '../bin/node/configuration.js';
import { settingOf } from '../bin/node/settings.js';
import { program } from '../bin/program.js';
import { describeCommandLine } from '../packaging/command-line.js';
import { formatDuration, formatSize, parseSize, parseTime } from '../src/units.js';
import { runCli } from './support/cli.js';
import { startMemcached, withNodes } from './support/nodes.js';

const test = suite('cli times');
const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const config = join(folder, 'config.json');
writeFileSync(config, '{}');

test('a time is a number and its unit, and comes out as it would be given', () => {
  for (const [text, ms] of [
    ['500ms', 500],
    ['5s', 5000],
    ['5', 5000],
    ['0.3', 300],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
    ['50us', 0.05],
    ['0', 0],
  ] as const) {
    assert.is(parseTime(text, 'x'), ms, text);
    assert.is(parseTime(formatDuration(ms), 'x'), ms, text);
  }
  assert.is(formatDuration(5000), '5s');
  assert.is(formatDuration(1500), '1500ms');
  for (const text of ['', '5x', '-1', '5 s s', '1e3', 'ms', '5S']) {
    assert.throws(() => parseTime(text, 'x'), /is no time; give a number with its unit/, text);
  }
  for (const bytes of [0, 1000, 1024, 512 * 2 ** 20, 3 * 2 ** 40]) {
    assert.is(parseSize(formatSize(bytes), 'x'), bytes);
  }
});

test('the time of a node that was milliseconds in 0.1.0 stays meaningful', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    for (const [text, stderr] of [
      ['5', ''],
      ['600', ''],
      ['2m', ''],
      ['700ms', ''],
      [
        '5000',
        'volley: a time of 5000 is taken as milliseconds, as by volley 0.1.0; give its unit: 5000ms\n',
      ],
    ] as const) {
      const run = await runCli(['images', '--nodes', node!.name, '--timeout', text]);
      assert.equal([run.code, run.stderr], [0, stderr], text);
    }
  });
});

test("a node's times take units, and bare numbers mean what they meant", () => {
  const optionsOf = (name: string, text: string) =>
    configure([{ setting: settingOf(name)!, text, origin: `--${name}`, source: 'flag' }], {}, config).options;
  for (const text of ['90', '90s', '1.5m', '90000ms']) {
    assert.is(optionsOf('idle-timeout', text).idleTimeoutMs, 90_000);
  }
  for (const text of ['1500', '1500ms', '1.5s']) {
    assert.is(optionsOf('quarantine', text).quarantineMs, 1500);
  }
  for (const text of ['70', '70us', '0.07ms']) assert.is(optionsOf('busy-wait', text).busyWaitUs, 70);
  assert.throws(() => optionsOf('quarantine', '1.5'), /too many decimals/);
});

test('help says sizes and times as they are given, and every command with nodes has the options of TLS', () => {
  const { commands } = describeCommandLine(program());
  for (const { name, options } of commands) {
    for (const { term, value, description } of options) {
      if (value === 'size' || value === 'time') {
        assert.not.match(description, /default: \d{3,}\)/, `${name} ${term}`);
      }
      assert.not.match(term, /<(ms|seconds|milliseconds|microseconds)>/, name);
    }
    const names = options.flatMap((option) => option.names);
    if (!names.includes('--nodes')) continue;
    for (const tls of ['', '-ca', '-cert', '-key', '-server-name']) {
      assert.ok(names.includes(`--tls${tls}`), `${name} --tls${tls}`);
    }
  }
});

test.run();
