import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { pathOf, textOfPath } from '../src/file-path.js';
import { randomImage } from './support/images.js';
import { VOLLEY_COMMAND } from './support/nodes.js';
import { TestProcess } from './support/processes.js';
import { withStoredImage } from './support/stored-image.js';

const test = suite('cli paths');

/** Runs a line of bash in which `$'\xe9'` is a byte, and volley the command. */
async function bash(line: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const [command, script] = VOLLEY_COMMAND;
  const run = new TestProcess('bash', ['-c', `volley() { ${command} ${script} "$@"; }; ${line}`], {
    VOLLEY_CONFIG: '',
  });
  const code = await run.ended(60_000);
  return { code, stdout: run.stdout, stderr: run.stderr };
}

/** The bytes of the names in a folder, as latin1. */
function namesIn(folder: string): string[] {
  return readdirSync(folder, { encoding: 'buffer' })
    .map((name) => name.toString('latin1'))
    .sort();
}

test('any bytes are a path, and come back from its text', () => {
  for (const bytes of [
    Buffer.from('plain/ü/😀'),
    Buffer.from([0xe9]),
    Buffer.from([0x61, 0xc3, 0x28, 0xf0, 0x9f, 0x98, 0x80, 0xf0, 0x9f, 0x98]),
    Buffer.from([0xed, 0xb2, 0x80, 0xef, 0xbf, 0xbd, 0xff]),
    Buffer.from(Array.from({ length: 255 }, (_, i) => i + 1)),
  ]) {
    const text = textOfPath(bytes);
    assert.ok(Buffer.from(pathOf(text)).equals(bytes), bytes.toString('hex'));
  }
  assert.is(textOfPath(Buffer.from('ü')), 'ü');
  assert.is(pathOf('😀\ufffd'), '😀\ufffd');
});

test('an image is loaded into a file whose name is not UTF-8', async () => {
  const content = randomImage(2);
  await withStoredImage(content, async (node, folder) => {
    const run = await bash(
      `cd ${folder} && volley load a --nodes ${node.name} --out=$'caf\\xe9.img' && volley load a --nodes ${node.name} --out $'caf\\xe8.img'`,
    );
    assert.is(run.code, 0, run.stderr);
    assert.match(run.stdout, /into caf\\xe9\.img:/);
    assert.equal(namesIn(folder), ['caf\xe8.img', 'caf\xe9.img']);
    const failed = await bash(`volley load a --nodes ${node.name} --out ${folder}/$'caf\\xe8.img'/x`);
    assert.match(failed.stderr, /caf\\xe8\.img/);
  });
});

test('a file whose name is not UTF-8 is uploaded under a name that is given, and not without one', async () => {
  await withStoredImage(randomImage(1), async (node, folder) => {
    const content = randomImage(2);
    writeFileSync(Buffer.from(`${folder}/caf\xe9`, 'latin1'), content);
    const refused = await bash(`volley upload ${folder}/$'caf\\xe9' --nodes ${node.name}`);
    assert.is(refused.code, 2);
    assert.match(refused.stderr, /^volley: the file's name "caf\\xe9" is not UTF-8.*--name\n$/);
    const line = `volley upload ${folder}/$'caf\\xe9' --name b --nodes ${node.name}`;
    assert.is((await bash(`${line} && volley load b --out ${folder}/b --nodes ${node.name}`)).code, 0);
    assert.ok(readFileSync(join(folder, 'b')).equals(content));
    const named = await bash(`volley upload ${folder}/b --name $'caf\\xe9' --nodes ${node.name}`);
    assert.is(named.code, 1);
    assert.match(named.stderr, /"caf\\xe9" is refused/);
  });
});

test("a node's files may have names that are not UTF-8; a socket's path may not", async () => {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  try {
    writeFileSync(Buffer.from(`${folder}/auth\xe9`, 'latin1'), 'alice:secret\n', { mode: 0o600 });
    const region = `volley-test-${process.pid}-`;
    const files = `-Y ${folder}/$'auth\\xe9' --region /dev/shm/${region}$'\\xe9' -P ${folder}/$'pid\\xe9'`;
    const line = `exec ${VOLLEY_COMMAND.join(' ')} node -p 0 -m 4 --local off ${files}`;
    const node = new TestProcess('bash', ['-c', line], { VOLLEY_CONFIG: '' });
    try {
      await node.until('node', () => node.stdout.includes('listening'));
      await node.until('pidfile', () => namesIn(folder).includes('pid\xe9'));
      assert.ok(namesIn('/dev/shm').includes(`${region}\xe9`));
      node.signal('SIGTERM');
      assert.is(await node.ended(), 0);
      assert.equal(namesIn(folder), ['auth\xe9']);
    } finally {
      await node.kill();
      rmSync(Buffer.from(`/dev/shm/${region}\xe9`, 'latin1'), { force: true });
    }
    const socket = await bash(`volley node -p 0 --local ${folder}/$'sock\\xe9'`);
    assert.is(socket.code, 2);
    assert.match(socket.stderr, /not UTF-8/);
    for (const args of ["-Y ''", "--region ''", "-s ''", "-P ''"]) {
      assert.is((await bash(`volley node -p 0 ${args}`)).code, 2, args);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a file that does not say how long it is, is read to its end', async () => {
  await withStoredImage(randomImage(1), async (node, folder) => {
    for (const file of ['/proc/version', '/proc/kallsyms', '/sys/kernel/mm/transparent_hugepage/enabled']) {
      const line = `volley upload ${file} --name b --nodes ${node.name} && volley load b --out ${folder}/b --nodes ${node.name}`;
      const { code, stderr } = await bash(`${line} && cmp ${folder}/b ${file}`);
      assert.equal([code, stderr], [0, ''], file);
    }
  });
});

test.run();
