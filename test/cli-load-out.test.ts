import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CliResult, runCli, startCli } from './support/cli.js';
import { CHUNK_BYTES, randomImage } from './support/images.js';
import { VOLLEY_COMMAND } from './support/nodes.js';
import { TestProcess } from './support/processes.js';
import { withStoredImage } from './support/stored-image.js';
import { TrafficProxy } from './support/traffic-proxy.js';

const test = suite('cli load out');
const IS_ROOT = process.geteuid!() === 0;
const NOBODY = 65_534;
/** Runs a command as somebody whom file modes hold for. */
const AS_NOBODY = IS_ROOT ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : [];
/** Runs a command that may mount what only it sees. */
const WITH_MOUNTS = ['unshare', ...(IS_ROOT ? [] : ['--map-root-user']), '--mount'];

/** Runs the volley command behind another one. */
async function runBehind(before: readonly string[], args: readonly string[]): Promise<CliResult> {
  const [command, ...rest] = [...before, ...VOLLEY_COMMAND, ...args];
  const run = new TestProcess(command!, rest, { VOLLEY_CONFIG: '', HOME: '/nonexistent' });
  const code = await run.ended(60_000);
  return { code, stdout: run.stdout, stderr: run.stderr };
}

function sh(command: string): string {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
  assert.is(status, 0, stderr);
  return stdout;
}

test('a load replaces a file whole, and its mode, owner and attributes stay', async () => {
  const content = randomImage(10, 3);
  await withStoredImage(content, async (node, folder) => {
    const file = join(folder, 'file');
    writeFileSync(file, 'older');
    chmodSync(file, 0o640);
    if (IS_ROOT) chownSync(file, NOBODY, NOBODY);
    const acl = '0sAgAAAAEABgD/////AgAEAAEAAAAEAAQA/////xAABAD/////IAAAAP////8=';
    const perl = `syscall(188, $f="${file}", $n="%s", $v=%s, length $v, 0) == 0 or die $!`;
    sh(`perl -MMIME::Base64 -e '${perl.replace('%s', 'user.note').replace('%s', '"kept"')}'`);
    sh(
      `perl -MMIME::Base64 -e '${perl
        .replace('%s', 'system.posix_acl_access')
        .replace('%s', `decode_base64("${acl.slice(2)}")`)}'`,
    );
    const before = statSync(file);
    const { code, stdout } = await runCli(['load', 'a', '--out', file, '--nodes', node.name, '--json']);
    assert.is(code, 0);
    assert.is(JSON.parse(stdout).inPlace, null);
    const after = statSync(file);
    assert.ok(readFileSync(file).equals(content));
    assert.is.not(after.ino, before.ino);
    assert.equal([after.mode, after.uid, after.gid], [before.mode, before.uid, before.gid]);
    const read = (name: string) =>
      sh(
        `perl -e '$b="\\0" x 100; $n=syscall(191, $f="${file}", $a="${name}", $b, 100); print unpack("H*", substr($b,0,$n))'`,
      );
    assert.is(read('user.note'), Buffer.from('kept').toString('hex'));
    assert.is(read('system.posix_acl_access'), Buffer.from(acl.slice(2), 'base64').toString('hex'));
    assert.equal(readdirSync(folder), ['file']);
  });
});

test('symbolic links are followed, also to a file that is not there yet, and in folders', async () => {
  const content = randomImage(3);
  await withStoredImage(content, async (node, folder) => {
    mkdirSync(join(folder, 'real'));
    symlinkSync('real', join(folder, 'linked'));
    symlinkSync('../second', join(folder, 'real', 'first'));
    symlinkSync('real/file', join(folder, 'second'));
    for (let round = 0; round < 2; round++) {
      const out = join(folder, 'linked', 'first');
      assert.is((await runCli(['load', 'a', '--out', out, '--nodes', node.name])).code, 0);
      assert.ok(readFileSync(join(folder, 'real', 'file')).equals(content));
    }
    assert.equal(readdirSync(folder).sort(), ['linked', 'real', 'second']);
    assert.equal(readdirSync(join(folder, 'real')).sort(), ['file', 'first']);
    symlinkSync('loop', join(folder, 'loop'));
    const loop = await runCli(['load', 'a', '--out', join(folder, 'loop'), '--nodes', node.name]);
    assert.is(loop.code, 1);
    assert.match(loop.stderr, /symbolic links/);
  });
});

test('a file with hard links is written in place, with all of its content replaced', async () => {
  const content = Buffer.concat([randomImage(2), Buffer.alloc(CHUNK_BYTES), randomImage(1, 5)]);
  await withStoredImage(content, async (node, folder) => {
    for (const olderBytes of [10, 20 * CHUNK_BYTES]) {
      const file = join(folder, `file${olderBytes}`);
      writeFileSync(file, Buffer.alloc(olderBytes, 7));
      linkSync(file, `${file}-other`);
      const { ino } = statSync(file);
      const { code, stdout } = await runCli(['load', 'a', '--out', file, '--nodes', node.name]);
      assert.is(code, 0);
      assert.match(stdout, /written in place: it has 2 hard links/);
      assert.ok(readFileSync(`${file}-other`).equals(content));
      assert.is(statSync(file).ino, ino);
    }
  });
});

test('a mounted file, and one in a folder that takes no new file, are written in place', async () => {
  const content = randomImage(5);
  await withStoredImage(content, async (node, folder) => {
    const file = join(folder, 'file');
    const mounted = join(folder, 'mounted');
    for (const path of [file, mounted]) writeFileSync(path, 'older');
    const load = ['load', 'a', '--out', mounted, '--nodes', node.name, '--json'];
    const bind = [...WITH_MOUNTS, 'sh', '-c', `mount --bind ${file} ${mounted} && exec "$@"`, 'sh'];
    const bound = await runBehind(bind, load);
    assert.is(bound.code, 0, bound.stderr);
    assert.match(JSON.parse(bound.stdout).inPlace, /cannot be replaced: resource busy or locked/);
    assert.ok(readFileSync(file).equals(content));
    assert.is(readFileSync(mounted, 'utf8'), 'older');

    if (IS_ROOT) chownSync(mounted, NOBODY, NOBODY);
    chmodSync(folder, 0o555);
    const closed = await runBehind(AS_NOBODY, load);
    assert.is(closed.code, 0, closed.stderr);
    assert.match(JSON.parse(closed.stdout).inPlace, /folder takes no new file/);
    assert.ok(readFileSync(mounted).equals(content));
    // Nor has it a folder for temporary files: the image is kept in memory until it is whole.
    writeFileSync(mounted, 'older');
    const poor = await runBehind(['env', 'TMPDIR=/nonexistent', ...AS_NOBODY], load);
    assert.is(poor.code, 0, poor.stderr);
    assert.ok(readFileSync(mounted).equals(content));
    const fresh = await runBehind(AS_NOBODY, [
      'load',
      'a',
      '--out',
      join(folder, 'new'),
      '--nodes',
      node.name,
    ]);
    assert.is(fresh.code, 1);
    assert.match(fresh.stderr, /^volley: cannot write .*new: permission denied\n$/);
    chmodSync(folder, 0o755);
  });
});

test('a load in place that has no room leaves the older content', async () => {
  await withStoredImage(randomImage(40), async (node, folder) => {
    const older = Buffer.alloc(100, 7);
    const script = `mount -t tmpfs -o size=600k none ${folder} && printf %s ${older.toString('latin1')} > ${folder}/file \
      && ln ${folder}/file ${folder}/other && "$@"; code=$?; cat ${folder}/other; exit $code`;
    const load = ['load', 'a', '--out', `${folder}/file`, '--nodes', node.name];
    const { code, stdout, stderr } = await runBehind([...WITH_MOUNTS, 'sh', '-c', script, 'sh'], load);
    assert.is(code, 1);
    assert.match(stderr, /^volley: cannot write .*no space left on device.*\n$/i);
    assert.is(stdout, older.toString('latin1'));
  });
});

test('what may not be written, or is no regular file, is refused and not touched', async () => {
  await withStoredImage(randomImage(1), async (node, folder) => {
    const sealed = join(folder, 'sealed');
    writeFileSync(sealed, 'older');
    chmodSync(sealed, 0o444);
    chmodSync(folder, 0o777);
    sh(`mkfifo ${folder}/pipe`);
    const before = readdirSync(folder).sort();
    for (const [out, words] of [
      [sealed, /cannot write .*sealed: permission denied/],
      ['/dev/null', /it is a device, no regular file/],
      [join(folder, 'pipe'), /it is a pipe, no regular file; take --out -/],
      [folder, /it is a directory, no regular file; name a file in it/],
      [`${folder}/new/`, /names a directory/],
      [join(folder, 'none', 'x'), /no such file or directory/],
      ['/proc/x', /cannot write \/proc\/x/],
    ] as const) {
      const { code, stderr } = await runBehind(AS_NOBODY, ['load', 'a', '--out', out, '--nodes', node.name]);
      assert.is(code, 1, out);
      assert.match(stderr, words);
      assert.match(stderr, /^volley: [^\n]*\n$/);
    }
    assert.equal(readdirSync(folder).sort(), before);
    assert.is(readFileSync(sealed, 'utf8'), 'older');
  });
});

test('an empty --out is wrong usage, and /dev/stdout is stdout', async () => {
  const content = randomImage(2);
  await withStoredImage(content, async (node) => {
    const empty = await runCli(['load', 'a', '--out', '', '--nodes', node.name]);
    assert.is(empty.code, 2);
    assert.match(empty.stderr, /--out.*empty/);
    const { code, stdout, stderr } = await runCli([
      'load',
      'a',
      '--out',
      '/dev/stdout',
      '--nodes',
      node.name,
    ]);
    assert.equal([code, stderr], [0, '']);
    assert.ok(stdout.length > CHUNK_BYTES / 2);
    assert.is((await runCli(['load', 'a', '--json', '--out', '/dev/stdout'])).code, 2);
  });
});

test('zero chunks are holes, however short, unless room is asked for', async () => {
  const zeros = Buffer.alloc(CHUNK_BYTES);
  const parts = [
    randomImage(1),
    zeros,
    randomImage(1),
    ...Array(200).fill(zeros),
    randomImage(9),
    zeros,
    zeros,
  ];
  const content = Buffer.concat(parts);
  await withStoredImage(content, async (node, folder) => {
    const allocated = async (out: string, ...more: string[]) => {
      const { code, stderr } = await runCli(['load', 'a', '--out', out, '--nodes', node.name, ...more]);
      assert.is(code, 0, stderr);
      assert.ok(readFileSync(out).equals(content));
      return statSync(out).blocks * 512;
    };
    const thin = await allocated(join(folder, 'thin'));
    const linked = join(folder, 'linked');
    writeFileSync(linked, Buffer.alloc(content.length, 1));
    linkSync(linked, join(folder, 'other'));
    for (const bytes of [thin, await allocated(linked)]) {
      assert.ok(bytes >= 11 * CHUNK_BYTES && bytes < 12 * CHUNK_BYTES, String(bytes));
    }
    assert.ok((await allocated(join(folder, 'thick'), '--preallocate')) >= content.length);
  });
});

test('nothing is to be seen of a load that goes on, and SIGKILL leaves nothing', async () => {
  await withStoredImage(randomImage(200), async (node, folder) => {
    await TrafficProxy.use(node.port, async (proxy) => {
      proxy.onTraffic = async (_, fromNode) => {
        if (fromNode > 2_000_000) await new Promise(() => {});
      };
      writeFileSync(join(folder, 'file'), 'older');
      const cli = startCli(['load', 'a', '--out', join(folder, 'file'), '--nodes', proxy.name]);
      await cli.until('start of the load', () => proxy.fromNode > 2_000_000);
      assert.equal(readdirSync(folder), ['file']);
      cli.signal('SIGKILL');
      await cli.ended();
      assert.equal(readdirSync(folder), ['file']);
      assert.is(readFileSync(join(folder, 'file'), 'utf8'), 'older');
    });
  });
});

test('where files without a name cannot be had, a hidden one serves', async () => {
  const content = randomImage(3);
  await withStoredImage(content, async (node, folder) => {
    // Without /proc a file without a name could not be given one.
    const without = [...WITH_MOUNTS, 'sh', '-c', 'mount -t tmpfs none /proc && exec "$@"', 'sh'];
    for (const out of [join(folder, 'file'), join(folder, 'file')]) {
      const { code, stderr } = await runBehind(without, ['load', 'a', '--out', out, '--nodes', node.name]);
      assert.is(code, 0, stderr);
      assert.ok(readFileSync(out).equals(content));
    }
    assert.equal(readdirSync(folder), ['file']);
  });
});

test('a reader of stdout that goes away in mid-image is told of in one line', async () => {
  await withStoredImage(randomImage(100), async (node) => {
    const [command, script] = VOLLEY_COMMAND;
    const line = `${command} ${script} load a --out - --nodes ${node.name} | head -c 1000 > /dev/null; sleep 0.1`;
    const shell = new TestProcess('bash', ['-c', `set -o pipefail; ${line}; exit \${PIPESTATUS[0]}`]);
    await shell.ended();
    assert.match(shell.stderr, /^volley: cannot write to stdout: who read it has gone; [^\n]*\n$/);
    const table = new TestProcess('bash', ['-c', `${command} ${script} --help | true`]);
    await table.ended();
    assert.is(table.stderr, '');
  });
});

test.run();
