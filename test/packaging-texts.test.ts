import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../src/root.js';
import { runCli } from './support/cli.js';

const EXPOSURE_MAX = 2.0;
const UNIT = join(ROOT, 'packaging', 'systemd', 'volley-node.service');

const test = suite('manual page, completion and unit');
const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
execFileSync(process.execPath, [join(ROOT, 'dist', 'packaging', 'generate.js'), folder]);
const rendered = spawnSync('man', ['--warnings', '-l', join(folder, 'volley.1')], {
  env: { ...process.env, MANWIDTH: '1000', MANROFFOPT: '', LC_ALL: 'C.UTF-8' },
  encoding: 'utf8',
});

/** What bash offers after a line. The line ends where the cursor is. */
function complete(line: string): string[] {
  const script = `
    . "$1"; cd "$2"
    read -ra COMP_WORDS <<<"$\{3//=/ = }"; [[ $3 == *' ' ]] && COMP_WORDS+=('')
    COMP_CWORD=$(( $\{#COMP_WORDS[@]} - 1 ))
    _volley; printf '%s\\n' "$\{COMPREPLY[@]}"`;
  const args = ['-c', script, 'complete', join(folder, 'volley.bash'), folder, line];
  // Bash does not await what it substitutes; in a session of its own nobody takes that for a process left behind.
  const output = execFileSync('setsid', ['--wait', 'bash', ...args], { encoding: 'utf8' });
  return output.split('\n').filter((word) => word !== '');
}

/** The commands, and each one's options, as the help tells them: read off what it prints. */
async function commandsOfHelp(): Promise<Map<string, string[]>> {
  const { stdout } = await runCli(['--help']);
  const names = [...stdout.slice(stdout.indexOf('Commands:')).matchAll(/^ {2}([a-z]+) /gm)].map(
    ([, name]) => name!,
  );
  const commands = new Map<string, string[]>();
  for (const name of names.filter((one) => one !== 'help' && one !== 'volley')) {
    const help = (await runCli([name, '--help'])).stdout;
    const options = [...help.matchAll(/^ {2}(-\S+?)(?:, (--\S+))?[ \n]/gm)].flatMap(([, ...found]) => found);
    commands.set(
      name,
      options.filter((option) => option !== undefined),
    );
  }
  return commands;
}

test('every command and option of the help is in the manual page and completed', async () => {
  const commands = await commandsOfHelp();
  assert.ok(commands.size >= 8, [...commands.keys()].join());
  const sections = rendered.stdout.slice(rendered.stdout.indexOf('\nCOMMANDS\n')).split(/^ {3}(?=[a-z]+$)/m);
  for (const [command, options] of commands) {
    assert.ok(complete('volley ').includes(command), command);
    assert.ok(options.length >= 2, command);
    const section = sections.find((one) => one.startsWith(`${command}\n`)) ?? '';
    const offered = complete(`volley ${command} -`);
    for (const option of options) {
      assert.ok(offered.includes(option), `completion: ${command} ${option}`);
      assert.match(
        section,
        new RegExp(`^ +(-\\S+, )?${option}(,| |$)`, 'm'),
        `manual page: ${command} ${option}`,
      );
    }
  }
});

test('the manual page renders without warnings', () => {
  assert.is(rendered.status, 0);
  assert.is(rendered.stderr, '');
  for (const title of ['NAME', 'EXIT STATUS', 'ENVIRONMENT', 'FILES', 'EXAMPLES', 'SEE ALSO']) {
    assert.match(rendered.stdout, new RegExp(`^${title}$`, 'm'));
  }
});

test('bash completes commands, options, values and files', () => {
  mkdirSync(join(folder, 'images'));
  writeFileSync(join(folder, 'images', 'disk one.img'), '');
  assert.equal(complete('volley up'), ['upload']);
  assert.equal(complete('volley load x --tr'), ['--transport']);
  assert.equal(complete('volley load x --transport '), ['auto', 'local', 'fabric', 'tcp']);
  assert.equal(complete('volley load x --transport=f'), ['fabric']);
  assert.equal(complete('volley load x --transport='), ['auto', 'local', 'fabric', 'tcp']);
  assert.equal(complete('volley node --fabric v'), ['verbs']);
  assert.equal(complete('volley boot --accel k'), ['kvm']);
  assert.equal(complete('volley upload images/d'), ['images/disk one.img']);
  assert.equal(complete('volley load x --out im'), ['images']);
  assert.equal(complete('volley node --local o'), ['off']);
  assert.equal(complete('volley help bo'), ['boot']);
  assert.equal(complete('volley rm '), complete('volley rm -'));
  // Nothing is known of what a name or a number could be.
  assert.equal(complete('volley upload --name '), []);
  assert.equal(complete('volley node -p '), []);
});

test('the unit is accepted by systemd and exposes little', () => {
  const verified = spawnSync('systemd-analyze', ['verify', '--man=no', UNIT], { encoding: 'utf8' });
  const complaints = verified.stderr.split('\n').filter((line) => line.includes('volley-node'));
  // The package is not installed here; test/packaging-package.test.ts verifies that one.
  assert.equal(
    complaints.filter((line) => !line.includes('/usr/bin/volley is not executable')),
    [],
  );
  const rated = execFileSync('systemd-analyze', ['security', '--offline=true', '--no-pager', UNIT], {
    encoding: 'utf8',
  });
  const [, exposure] = /exposure level for volley-node\.service: ([\d.]+)/.exec(rated) ?? [];
  assert.ok(Number(exposure) <= EXPOSURE_MAX, `${exposure}\n${rated}`);
});

/** The values of a setting in the unit's file, a word each. */
function valuesOf(setting: string): string[] {
  const lines = [...readFileSync(UNIT, 'utf8').matchAll(new RegExp(`^${setting}=(.*)$`, 'gm'))];
  return lines.flatMap(([, value]) => value!.split(' ')).filter((word) => word !== '');
}

test('the unit leaves a node what RDMA, V8 and region files need', () => {
  // With this one /dev/infiniband is gone; with this one V8 cannot compile; with this one region files go with the service.
  for (const setting of ['PrivateDevices', 'MemoryDenyWriteExecute', 'DynamicUser', 'PrivateNetwork']) {
    assert.equal(valuesOf(setting), [], setting);
  }
  assert.equal(valuesOf('RemoveIPC'), ['no']);
  assert.equal(valuesOf('DeviceAllow'), ['char-infiniband_verbs', 'rw', '/dev/infiniband/rdma_cm', 'rw']);
  const families = ['AF_UNIX', 'AF_INET', 'AF_INET6', 'AF_NETLINK', 'AF_IB'];
  assert.equal(valuesOf('RestrictAddressFamilies'), families);
  assert.equal(valuesOf('LimitMEMLOCK'), ['infinity']);
  // As many connections as -c allows by default, over tcp and over the fabric, and more.
  assert.ok(Number(valuesOf('LimitNOFILE')[0]) >= 4 * 1024);
  assert.equal([valuesOf('Type'), valuesOf('NotifyAccess')], [['notify'], ['all']]);
});

test.run();
