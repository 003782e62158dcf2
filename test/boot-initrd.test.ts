import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CpioWriter } from '../bench/support/cpio-writer.js';
import { digestIn, writeGuestInitrd } from '../bench/support/guest-initrd.js';

const test = suite('making an initrd');

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Unpacks an archive with busybox, whose cpio is not ours. */
function unpack(archive: string, folder: string): void {
  mkdirSync(folder);
  execFileSync('busybox', ['cpio', '-idm'], { cwd: folder, input: readFileSync(archive), stdio: 'pipe' });
}

test('another cpio unpacks what was written, whatever the lengths', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'archive');
    const file = await open(path, 'w');
    const archive = new CpioWriter(file);
    await archive.addDirectory('d');
    for (let bytes = 0; bytes < 9; bytes++) {
      const halves = [Buffer.alloc(bytes >> 1, 0x61), Buffer.alloc(bytes - (bytes >> 1), 0x62)];
      await archive.addFile(`d/${'n'.repeat(bytes + 1)}`, 0o640, bytes, halves);
    }
    await archive.end();
    await file.close();
    assert.is(statSync(path).size, archive.bytes);
    unpack(path, join(folder, 'out'));
    for (let bytes = 0; bytes < 9; bytes++) {
      const name = join(folder, 'out', 'd', 'n'.repeat(bytes + 1));
      assert.is(readFileSync(name, 'latin1'), 'a'.repeat(bytes >> 1) + 'b'.repeat(bytes - (bytes >> 1)));
      assert.is(statSync(name).mode & 0o7777, 0o640);
    }
  });
});

test('content that is not as long as it was said to be is refused', async () => {
  await withFolder(async (folder) => {
    const file = await open(join(folder, 'archive'), 'w');
    const adding = new CpioWriter(file).addFile('x', 0o644, 5, [Buffer.alloc(4)]);
    assert.match(String(await adding.catch((error: unknown) => error)), /4 bytes came, not 5/);
    await file.close();
  });
});

test("the guest's initrd holds busybox, an init and the payload whose digest is told", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'initrd');
    const initrd = await writeGuestInitrd(path, 5_000_001);
    assert.is(statSync(path).size, initrd.bytes);
    unpack(path, join(folder, 'out'));
    const payload = readFileSync(join(folder, 'out', 'payload'));
    assert.is(payload.length, 5_000_001);
    assert.is(createHash('sha256').update(payload).digest('hex'), initrd.payloadSha256);
    const init = readFileSync(join(folder, 'out', 'init'), 'latin1');
    assert.match(init, /^#!\/bin\/busybox sh\n/);
    assert.is(statSync(join(folder, 'out', 'bin', 'busybox')).mode & 0o111, 0o111);
  });
});

test('the digest is found in what the guest has printed, and nothing else is taken for it', () => {
  const digest = 'ab'.repeat(32);
  assert.is(digestIn(['x', `[1.0] volley-guest: payload sha256 ${digest}  -`, 'y']), digest);
  assert.is(digestIn(['volley-guest: payload sha256 abc', '']), undefined);
  assert.is(digestIn([digest]), undefined);
});

test.run();
