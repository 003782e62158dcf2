import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type BootOptions, boot, parseKernelHeader } from '../hypervisor-shim/index.js';
import { isVolleyError } from '../src/errors.js';
import { withFakeQemu } from './support/fake-qemu.js';
import { kernelCluster } from './support/kernel-cluster.js';

const test = suite('boots that fail');

const MIB = 1 << 20;

async function errorOf(options: Partial<BootOptions>): Promise<string> {
  const all = {
    cluster: await kernelCluster(),
    kernel: 'linux',
    initrd: 'noise',
    timeoutMs: 20_000,
    ...options,
  };
  return boot(all).then(
    () => 'no error',
    (error: unknown) => {
      if (!isVolleyError(error)) throw error;
      return `${error.code} ${error.message}`;
    },
  );
}

/** Child processes of this process, and descriptors that it has open. */
function belongings(): { children: string[]; descriptors: number } {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean);
  return { children, descriptors: readdirSync('/proc/self/fd').length };
}

test('a guest without an initrd panics, which is told', async () => {
  const text = await errorOf({ initrd: 'nothing', until: 'READY' });
  assert.match(text, /^ERR_VOLLEY_GUEST the guest's kernel gave up: Kernel panic - not syncing: VFS/);
});

test('images that are missing or no kernel end the boot before or after QEMU has started', async () => {
  assert.match(await errorOf({ kernel: 'gone' }), /^ERR_VOLLEY_NOT_FOUND .*"gone"/);
  assert.match(await errorOf({ initrd: 'gone' }), /^ERR_VOLLEY_NOT_FOUND .*"gone"/);
  assert.match(await errorOf({ kernel: 'noise' }), /^ERR_VOLLEY_KERNEL image "noise" is no x86 kernel/);
  assert.match(await errorOf({ kernel: 'nothing' }), /^ERR_VOLLEY_KERNEL image "nothing" is too short/);
});

test('too little guest memory is told with how much is needed', async () => {
  const cluster = await kernelCluster();
  const linux = await cluster.read(await cluster.open('linux'), 0, Number.POSITIVE_INFINITY);
  const { base, memoryBytes } = parseKernelHeader(linux, linux.length);
  // The kernel, the initrd's 3 MiB, and 32 MiB for firmware.
  const least = Math.ceil((base + memoryBytes) / MIB) + 3 + 32;
  const text = await errorOf({ memoryBytes: 64 * MIB });
  assert.match(text, /^ERR_VOLLEY_MEMORY .*--memory \d+M/);
  assert.match(text, `at least ${least}M are needed`);
  assert.match(await errorOf({ memoryBytes: 1 }), /^ERR_VOLLEY_USAGE /);
  assert.match(await errorOf({ cpus: 0 }), /^ERR_VOLLEY_USAGE /);
  assert.match(await errorOf({ until: '' }), /^ERR_VOLLEY_USAGE .*empty/);
  assert.match(await errorOf({ cmdline: 'x'.repeat(5000) }), /^ERR_VOLLEY_USAGE .*command line/);
});

test('a QEMU that is missing, refuses, or hangs before its monitor answers is told', async () => {
  assert.match(await errorOf({ qemu: '/nowhere/qemu' }), /^ERR_VOLLEY_QEMU \/nowhere\/qemu is not installed/);
  assert.match(await errorOf({ qemu: '/etc/passwd' }), /^ERR_VOLLEY_QEMU \/etc\/passwd is not executable/);
  await withFakeQemu('echo "qemu: no such option" >&2; exit 1', async (qemu) => {
    assert.match(
      await errorOf({ qemu }),
      /^ERR_VOLLEY_QEMU .*before the guest was started: qemu: no such option/,
    );
  });
  await withFakeQemu('exec sleep 60', async (qemu) => {
    assert.match(await errorOf({ qemu, until: 'X', timeoutMs: 300 }), /^ERR_VOLLEY_GUEST .*within 0.3 s/);
  });
});

test('a guest that never gets to the marker is stopped in time', async () => {
  const began = performance.now();
  const text = await errorOf({ until: 'this never comes', timeoutMs: 1000 });
  // On a busy machine its first line takes longer than that.
  assert.match(
    text,
    /^ERR_VOLLEY_GUEST .*did not print "this never comes" within 1 s; its (last line: |serial port stayed silent)/,
  );
  assert.ok(performance.now() - began < 5000);
});

test('an interrupt in mid-load waits for the load to let go of guest memory, then cleans up', async () => {
  const files = await kernelCluster();
  files.hang = true;
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 200);
  const text = await errorOf({ cluster: files, signal: controller.signal });
  assert.match(text, /^ERR_VOLLEY_ABORTED /);
  assert.is(files.running, 0);
});

test('after all that no process, descriptor or file is left', async () => {
  const before = belongings();
  await boot({ cluster: await kernelCluster(), kernel: 'linux', initrd: 'noise', until: 'Linux version' });
  await errorOf({ until: 'never', timeoutMs: 300 });
  assert.equal(belongings(), before);
  assert.equal(before.children, []);
  const left = readdirSync(tmpdir()).filter((name) => name.startsWith('volley-qemu-'));
  assert.equal(left, []);
});

test.run();
