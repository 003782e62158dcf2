import { PassThrough } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { boot, bootDirect } from '../hypervisor-shim/index.js';
import { kernelCluster } from './support/kernel-cluster.js';
import { debianKernel } from './support/tiny-kernel.js';

const test = suite('booting a guest whose RAM the hook fills');

const MIB = 1 << 20;

test('a kernel stored as segments starts, and so does one stored as it is', async () => {
  for (const kernel of ['linux', 'bzimage']) {
    const output = new PassThrough();
    let serial = '';
    output.on('data', (bytes: Buffer) => (serial += bytes.toString()));
    // The kernel finds its initrd and says what it thinks of it.
    const report = await boot({
      cluster: await kernelCluster(),
      kernel,
      initrd: 'noise',
      cmdline: 'console=ttyS0 panic=-1 volley.test=1',
      memoryBytes: 256 * MIB,
      until: 'Trying to unpack rootfs image as initramfs',
      timeoutMs: 60_000,
      output,
    });
    assert.is(report.outcome, 'until');
    assert.match(serial, 'Linux version');
    // The kernel prints it twice; a busy machine's emulated UART may lose a character of one.
    assert.match(serial, 'ommand line: console=ttyS0 panic=-1 volley.test=1');
    const { points } = report;
    const times = [points.spawn, points.loaded, points.doorbell, points.kernel, points.userspace, points.end];
    const ms = times.map((point) => point?.sinceSpawn ?? -1);
    assert.equal(
      ms,
      [...ms].sort((a, b) => a - b),
      'the stages come in their order',
    );
    assert.is(report.kernel.address % 4096, 0);
    assert.ok(report.initrd!.address > 16 * MIB && report.initrd!.address < 224 * MIB);
    assert.ok((points.firmware?.sinceSpawn ?? 0) > 0);
    assert.is(
      report.totals.bytes,
      report.loads.reduce((sum, load) => sum + load.bytes, 0),
    );
  }
});

test('an initrd above 4 GiB is found by the guest', async () => {
  // A kernel that may only be told of low memory up to here leaves no room below.
  const files = await kernelCluster();
  const image = await files.read(await files.open('linux'), 0, Number.POSITIVE_INFINITY);
  image.writeUInt32LE(64 * MIB, 4096 + 0x22c);
  files.add('linux', image, 'kernel');
  const report = await boot({
    cluster: files,
    kernel: 'linux',
    initrd: 'noise',
    memoryBytes: 3072 * MIB,
    until: 'Trying to unpack rootfs image as initramfs',
    timeoutMs: 60_000,
  });
  assert.is(report.outcome, 'until');
  assert.ok(report.initrd!.address >= 2 ** 32);
});

test('a guest needs no initrd to start', async () => {
  const report = await boot({
    cluster: await kernelCluster(),
    kernel: 'linux',
    memoryBytes: 256 * MIB,
    until: 'Run /init as init process',
    userspace: 'Linux version',
    timeoutMs: 60_000,
  }).catch((error: Error) => error.message);
  // Nothing to run: it is the kernel that says so, not the boot.
  assert.match(String(report), "the guest's kernel gave up: Kernel panic - not syncing: VFS");
});

test('the reference boot runs the same kernel from files', async () => {
  const report = await bootDirect({
    kernelFile: debianKernel(),
    initrdFile: debianKernel(),
    memoryBytes: 256 * MIB,
    until: 'Linux version',
    timeoutMs: 60_000,
  });
  assert.is(report.outcome, 'until');
  assert.ok(report.points.kernel!.sinceSpawn! > 0);
});

test.run();
