import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CliResult, runCli } from './support/cli.js';
import { cpioArchive } from './support/cpio.js';
import { startVolleyNode, type TestNode, withNodes } from './support/nodes.js';
import { pack } from './support/packers.js';

const test = suite('volley upload of an initrd');

const ARCHIVE = cpioArchive([{ name: 'noise', data: randomBytes(300_000) }]);

/** Runs `work` with a node and a function that uploads bytes from a file of this name. */
async function withUploads(
  work: (
    upload: (name: string, bytes: Buffer, ...flags: string[]) => Promise<CliResult>,
    node: TestNode,
  ) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  try {
    await withNodes([() => startVolleyNode()], async (node) => {
      await work((name, bytes, ...flags) => {
        writeFileSync(join(folder, name), bytes);
        return runCli(['upload', join(folder, name), ...flags], { VOLLEY_NODES: node!.name });
      }, node!);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('what Linux would refuse is stored all the same, with one line of warning that says what to do', async () => {
  await withUploads(async (upload, node) => {
    const refused = pack('lz4', ARCHIVE);
    const plain = await upload('a.img', refused);
    assert.is(plain.code, 0);
    assert.match(plain.stdout, 'stored "a.img"');
    assert.match(plain.stderr, /^volley: warning: Linux will not unpack this initrd: .*lz4 -l\n$/);
    const json = await upload('b.img', refused, '--json');
    const { warnings, initrdParts } = JSON.parse(json.stdout);
    assert.equal(initrdParts, ['lz4-frame']);
    assert.is(warnings.length, 1);
    assert.is(json.stderr, `volley: warning: ${warnings[0]}\n`);
    const environment = { VOLLEY_NODES: node.name };
    const piped = await runCli(['upload', '-', '--name', 'c'], environment, refused);
    assert.is(piped.code, 0);
    assert.match(piped.stderr, /^volley: warning: .*lz4 -l\n$/);
  });
});

test('nothing is said of an initrd as Linux wants it, nor of anything else', async () => {
  await withUploads(async (upload, node) => {
    for (const [name, bytes] of [
      ['initrd.img', pack('zstd', ARCHIVE)],
      ['disk', randomBytes(200_000)],
      ['disk.xz', pack('xz', randomBytes(200_000))],
      ['empty', Buffer.alloc(0)],
    ] as const) {
      const { code, stdout, stderr } = await upload(name, bytes);
      assert.equal([code, stderr], [0, ''], name);
      assert.is(stdout.includes('an initrd: zstd'), name === 'initrd.img', stdout);
    }
    const piped = await runCli(
      ['upload', '-', '--name', 'c'],
      { VOLLEY_NODES: node.name },
      randomBytes(2 << 20),
    );
    assert.equal([piped.code, piped.stderr], [0, '']);
  });
});

test('what the user calls an initrd, or names so and leaves empty, is warned of when it is none', async () => {
  await withUploads(async (upload) => {
    assert.match((await upload('x', randomBytes(100), '--initrd')).stderr, /there is neither a cpio archive/);
    assert.match((await upload('initrd.img', Buffer.alloc(0))).stderr, /it is empty/);
    const both = await upload('x', randomBytes(100), '--initrd', '--kernel');
    assert.is(both.code, 2);
  });
});

test.run();
