import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { boot, prepareKernel } from '../hypervisor-shim/index.js';
import { BoundedBytes } from '../hypervisor-shim/initrd/bounded-bytes.js';
import { inspectInitrd } from '../hypervisor-shim/initrd/inspect.js';
import { isVolleyError } from '../src/errors.js';
import { cpioArchive, initrdEntries } from './support/cpio.js';
import { FileCluster } from './support/file-cluster.js';
import { pack } from './support/packers.js';
import { debianKernel } from './support/tiny-kernel.js';

const test = suite('what an upload says of an initrd, and what a real kernel does with it');

const entries = initrdEntries('echo "userspace: $(/bin/busybox ls /)"');
const archive = cpioArchive(entries);
const early = cpioArchive([{ name: 'early', mode: 0o40755 }]);
const zeros = (bytes: number) => Buffer.alloc(bytes);
const kernel = prepareKernel(debianKernel());

/** Boots with this initrd. Returns the guest's line of userspace, or the error's text. */
async function bootWith(initrd: Buffer): Promise<string> {
  const { source, kind } = await kernel;
  const cluster = new FileCluster().add('linux', source, kind).add('initrd', initrd);
  const images = { cluster, kernel: 'linux', initrd: 'initrd' };
  try {
    const { lastLines, notices } = await boot({ ...images, memoryBytes: 256 << 20, timeoutMs: 120_000 });
    return [...lastLines.filter((line) => line.includes('userspace:')), ...notices].join('; ');
  } catch (error) {
    if (!isVolleyError(error)) throw error;
    return `${error.code} ${error.message}`;
  }
}

async function warningsOf(initrd: Buffer): Promise<string[]> {
  const bytes = BoundedBytes.ofPrefix(initrd, true);
  return (await inspectInitrd(bytes, { isInitrd: false, name: 'initrd' })).warnings;
}

const GOOD: [string, Buffer][] = [
  [
    'two archives, zeros between',
    Buffer.concat([early, zeros(-early.length & 511), gzipSync(archive), zeros(700)]),
  ],
  ['xz --check=crc32', pack('xz -0 --check=crc32', archive)],
];

for (const [what, initrd] of GOOD) {
  test(`no warning, and the kernel unpacks it: ${what}`, async () => {
    assert.equal(await warningsOf(initrd), []);
    assert.match(await bootWith(initrd), 'userspace: ');
  });
}

const half = archive.length >> 1;
const REFUSED: [string, Buffer][] = [
  ['lz4 frames', pack('lz4 -1', archive)],
  ['xz with crc64', pack('xz -0', archive)],
  ['a window of 256 MiB', pack('zstd -1 --long=28', archive)],
  ['pzstd', pack('pzstd -1 -q', archive)],
  [
    'an archive in two members',
    Buffer.concat([gzipSync(archive.subarray(0, half)), gzipSync(archive.subarray(half))]),
  ],
  ['five zeros before the next archive', Buffer.concat([early, zeros(5), archive])],
  ['odc', gzipSync(cpioArchive(entries, 'odc'))],
];

for (const [what, initrd] of REFUSED) {
  test(`a warning, and the kernel refuses it, which the boot's error says: ${what}`, async () => {
    assert.is((await warningsOf(initrd)).length, 1);
    const error = await bootWith(initrd);
    assert.match(
      error,
      /^ERR_VOLLEY_GUEST .*did not take its initrd \(Initramfs unpacking failed: .*\): volley upload/,
    );
    assert.not.match(error, '\n');
  });
}

test.run();
