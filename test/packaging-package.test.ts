import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DONE_MARKER, writeGuestInitrd } from '../bench/support/guest-initrd.js';
import { ROOT } from '../src/root.js';
import { IsolatedSystem } from './support/isolated-system.js';
import { TestProcess } from './support/processes.js';
import { debianKernel } from './support/tiny-kernel.js';

const BUILD_TIMEOUT_MS = 120_000;
const PAYLOAD_BYTES = 1 << 20;
/** What Debian keeps of a package that was purged: dpkg's own books, logs, caches, and the user, whose number is not given to others. */
const KEPT =
  /^\/(var\/(lib\/dpkg|lib\/systemd\/deb-systemd-helper-masked|log|cache)\/|etc\/(passwd|group|shadow|gshadow|subuid|subgid)-?$|etc\/\.pwd\.lock$|etc\/dpkg\/)/;

const test = suite('Debian package');
const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const lacking = IsolatedSystem.lacking();
const installTest = lacking === null ? test : test.skip;
if (lacking !== null) console.log(`skipped: the package is not installed: ${lacking}`);

/** The package, built at the first call. */
let built: Promise<string> | undefined;
function builtPackage(): Promise<string> {
  built ??= (async () => {
    const build = new TestProcess(join(ROOT, 'scripts', 'build-deb'), [folder]);
    assert.is(await build.ended(BUILD_TIMEOUT_MS), 0, build.stderr);
    return build.stdout.trim();
  })();
  return built;
}

/** The one system that the package is installed in, made at the first call. */
let system: Promise<IsolatedSystem> | undefined;
function installed(): Promise<IsolatedSystem> {
  system ??= (async () => {
    const path = await builtPackage();
    const fresh = await IsolatedSystem.start();
    try {
      await provideNode(fresh);
      await fresh.put(path, '/tmp/volley.deb');
      await fresh.shell('dpkg --no-triggers -i /tmp/volley.deb 2>&1');
      return fresh;
    } catch (error) {
      await fresh.stop();
      throw error;
    }
  })();
  return system;
}
test.after(async () => {
  await system?.then(
    (one) => one.stop(),
    () => {},
  );
});

/** Where Node was not installed by dpkg, a package that stands for it. */
async function provideNode(system: IsolatedSystem): Promise<void> {
  const control = `Package: nodejs\\nVersion: ${process.versions.node}\\nArchitecture: all\\nMaintainer: nobody\\nDescription: stands for Node\\n`;
  await system.shell(`
    version=$(dpkg-query -W -f '\${Version}' nodejs 2>/dev/null)
    dpkg --compare-versions "$version" ge 20.12 && exit
    mkdir -p /tmp/nodejs/DEBIAN && printf '${control}' >/tmp/nodejs/DEBIAN/control
    dpkg-deb --build /tmp/nodejs /tmp/nodejs.deb && dpkg -i /tmp/nodejs.deb`);
}

test('lintian finds no errors and no warnings', async () => {
  const output = execFileSync('lintian', ['--allow-root', '--fail-on=none', await builtPackage()], {
    encoding: 'utf8',
  });
  assert.is(output.replace(/^(running with root.*|N:.*)\n/gm, ''), '');
});

test('it holds what is needed to run and nothing else', async () => {
  const path = await builtPackage();
  const list = execFileSync('dpkg-deb', ['-c', path], { encoding: 'utf8' });
  const files = list.split('\n').filter((line) => /^[-l]/.test(line));
  const odd = files.filter((line) =>
    /\.(ts|map|md|html|cc|c|h)$|\/(test|bench)\/|musl|darwin|win32/.test(line),
  );
  assert.equal(odd, []);
  const fields = execFileSync('dpkg-deb', ['-f', path], { encoding: 'utf8' });
  assert.match(fields, /^Depends: .*libc6 .*nodejs \(>= 20\.12\)/m);
  assert.match(
    fields,
    new RegExp(`^Version: ${JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version}$`, 'm'),
  );
});

/** Starts the installed node as the user that the service has. */
function startNode(system: IsolatedSystem, ...args: string[]): TestProcess {
  const user = ['--reuid=volley', '--regid=volley', '--clear-groups', '--reset-env'];
  return system.spawn('setpriv', ...user, 'volley', 'node', '--json', ...args);
}

installTest(
  'the installed command stores images in its node and reads them back, without the source tree',
  async () => {
    const system = await installed();
    assert.is(await system.shell(`ls -A ${ROOT} 2>/dev/null || true`), '');
    assert.match(await system.shell('volley --version'), /^\d+\.\d+\.\d+\n$/);
    const node = startNode(system);
    try {
      await node.until('line of the node', () => node.stdout.includes('\n'));
      const { address, port } = JSON.parse(node.stdout);
      assert.equal([address, port], ['127.0.0.1', 11211]);
      await system.shell('head -c 5000000 /dev/urandom >/tmp/image; volley upload /tmp/image --name image');
      const report = await system.shell('volley load image --out /tmp/copy --json; cmp /tmp/image /tmp/copy');
      assert.is(JSON.parse(report).bytes, 5_000_000);
      const doctor = JSON.parse((await system.run('volley', 'doctor', '--json')).stdout);
      assert.is(
        doctor.checks.find(({ name }: { name: string }) => name === 'node 127.0.0.1:11211').state,
        'good',
      );
      node.signal('SIGTERM');
      assert.is(await node.ended(), 0, node.stderr);
    } finally {
      await node.kill();
    }
  },
);

installTest('the installed command boots a guest out of its node', async () => {
  const system = await installed();
  await system.put(debianKernel(), '/tmp/vmlinuz');
  const initrd = join(folder, 'initrd');
  await writeGuestInitrd(initrd, PAYLOAD_BYTES);
  await system.put(initrd, '/tmp/initrd');
  const node = startNode(system, '-m', '128');
  try {
    await node.until('line of the node', () => node.stdout.includes('\n'));
    await system.shell('volley upload /tmp/vmlinuz --kernel --name linux; volley upload /tmp/initrd');
    const images = '--kernel linux --initrd initrd --cmdline "console=ttyS0 panic=-1"';
    const serial = await system.shell(`volley boot ${images} --until '${DONE_MARKER}' --timeout 25`);
    assert.match(serial, DONE_MARKER);
  } finally {
    await node.kill();
  }
});

installTest('manual page and completion are found, the service is enabled', async () => {
  const system = await installed();
  assert.match(
    await system.shell('MANWIDTH=100 man volley'),
    /VOLLEY\(1\)[\s\S]*boot fleets of virtual machines/,
  );
  const completion = `
      . /usr/share/bash-completion/bash_completion
      _completion_loader volley
      complete -p volley
      COMP_WORDS=(volley bo) COMP_CWORD=1; _volley; echo "\${COMPREPLY[@]}"`;
  assert.match(await system.shell(completion), /-F _volley volley\nboot\n/);
  assert.is((await system.shell('systemctl is-enabled volley-node')).trim(), 'enabled');
  assert.match(await system.shell('getent passwd volley'), /:Volley storage node:/);
  assert.is(
    await system.shell('systemd-analyze verify volley-node.service 2>&1 | grep volley-node || true'),
    '',
  );
});

installTest('removing it keeps its settings, purging it leaves nothing but its user', async () => {
  const system = await installed();
  await system.shell(
    'echo VOLLEY_NODE_MEMORY_LIMIT=128 >>/etc/default/volley-node; dpkg --no-triggers -r volley',
  );
  const left = (await system.changes()).filter((path) => !KEPT.test(path));
  assert.ok(left.includes('/etc/default/volley-node'), left.join('\n'));
  assert.not.ok(
    left.some((path) => path.startsWith('/usr/')),
    left.join('\n'),
  );
  await system.shell('dpkg --no-triggers -P volley');
  assert.equal(
    (await system.changes()).filter((path) => !KEPT.test(path)),
    [],
  );
});

test.run();
