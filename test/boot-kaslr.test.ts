import { PassThrough } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type BootOptions, type BootReport, boot, prepareKernel } from '../hypervisor-shim/index.js';
import { cpioArchive, initrdEntries } from './support/cpio.js';
import { FileCluster } from './support/file-cluster.js';
import { debianKernel } from './support/tiny-kernel.js';

const test = suite('addresses of a real kernel that is drawn anew for each boot');

const MIB = 1 << 20;
const LINKED_AT = 0xffffffff81000000n;
const SCRIPT = `/bin/busybox mount -t proc none /proc
echo "text=$(/bin/busybox grep -m1 ' _text$' /proc/kallsyms)"
echo "cmdline=$(/bin/busybox wc -c < /proc/cmdline)"
/bin/busybox sed -n 's/^ *\\([0-9a-f]*\\)-.*Kernel code.*/code=\\1/p' /proc/iomem
echo "all is told"`;

const kernel = prepareKernel(debianKernel());

async function cluster(): Promise<FileCluster> {
  const { source, kind } = await kernel;
  return new FileCluster().add('linux', source, kind).add('initrd', cpioArchive(initrdEntries(SCRIPT)));
}

interface Seen {
  report: BootReport;
  /** What the guest itself finds: its first virtual and physical address. */
  text: bigint;
  code: bigint;
  /** Bytes of its command line, without the newline. */
  cmdlineBytes: number;
}

async function bootAndLook(options: Partial<BootOptions> = {}): Promise<Seen> {
  const output = new PassThrough();
  let serial = '';
  output.on('data', (bytes: Buffer) => (serial += bytes.toString('latin1')));
  const report = await boot({
    cluster: await cluster(),
    kernel: 'linux',
    initrd: 'initrd',
    memoryBytes: 512 * MIB,
    until: 'all is told',
    timeoutMs: 120_000,
    output,
    ...options,
  });
  const found = (pattern: RegExp) => BigInt(`0x${pattern.exec(serial)?.[1] ?? '0'}`);
  const cmdlineBytes = Number(/cmdline=(\d+)/.exec(serial)?.[1]) - 1;
  return { report, text: found(/text=([0-9a-f]{16})/), code: found(/code=([0-9a-f]+)/), cmdlineBytes };
}

test('each boot has its own virtual and physical address, which the guest and the report agree on', async () => {
  const boots = [await bootAndLook(), await bootAndLook(), await bootAndLook()];
  for (const { report, text, code } of boots) {
    assert.is(report.kernel.kaslr.by, 'volley');
    assert.is(report.kernel.virtualAddress, `0x${text.toString(16)}`);
    assert.is(BigInt(report.kernel.base), code);
    assert.is(report.kernel.base % (2 * MIB), 0);
    assert.ok(report.kernel.base + 48_234_496 <= report.initrd!.address);
  }
  // Two equal draws of some 490 and 200 are possible, three times equal is no draw.
  assert.ok(new Set(boots.map(({ text }) => text)).size > 1);
  assert.ok(new Set(boots.map(({ code }) => code)).size > 1);
});

test('nokaslr leaves the kernel where it was linked for, also at the end of the longest command line', async () => {
  const start = 'console=ttyS0 panic=-1 x=';
  const cmdline = `${start.padEnd(2047 - ' nokaslr'.length, 'x')} nokaslr`;
  const { report, text, code, cmdlineBytes } = await bootAndLook({ cmdline });
  assert.is(cmdlineBytes, 2047);
  assert.is(report.kernel.kaslr.by, null);
  assert.match(report.kernel.kaslr.reason, 'nokaslr');
  assert.is(text, LINKED_AT);
  assert.is(code, 0x1000000n);
  const error = await bootAndLook({ cmdline: `${cmdline}x` }).catch((caught: Error) => caught);
  assert.match(String(error), 'one line of at most 2047 bytes, this one has 2048');
});

test('a command line that ends or moves memory keeps the kernel inside what is left', async () => {
  const ended = await bootAndLook({ cmdline: 'console=ttyS0 panic=-1 mem=160M' });
  assert.ok(ended.report.kernel.base <= 110 * MIB);
  assert.is(BigInt(ended.report.kernel.base), ended.code);
  const moved = await bootAndLook({ cmdline: 'console=ttyS0 panic=-1 memmap=64M$128M' });
  assert.is(moved.code, 0x1000000n);
  assert.is(moved.report.kernel.virtualAddress, `0x${moved.text.toString(16)}`);
});

test.run();
