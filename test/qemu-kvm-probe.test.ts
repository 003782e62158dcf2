import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { chooseAccelerator, probeKvm } from '../hypervisor-shim/index.js';
import type { KvmProbeOptions } from '../hypervisor-shim/kvm.js';
import { withFakeQemu } from './support/fake-qemu.js';

const test = suite('finding out whether KVM really runs guests');

const folder = mkdtempSync(join(tmpdir(), 'volley-kvm-'));
const machine = {
  cpuinfo: join(folder, 'cpuinfo'),
  modules: join(folder, 'modules'),
  device: join(folder, 'kvm'),
};
writeFileSync(machine.cpuinfo, 'processor\t: 0\nflags\t\t: fpu vme vmx sse\n');
writeFileSync(
  join(folder, 'no-vmx'),
  'processor\t: 0\nflags\t\t: fpu vme svmx avmx sse\nvmx flags\t: vnmi\n',
);
mkdirSync(join(machine.modules, 'kvm_intel'), { recursive: true });
mkdirSync(join(folder, 'pvm-modules', 'kvm_pvm'), { recursive: true });
writeFileSync(machine.device, '');

test('where feature, module and a guest that runs come together, KVM is usable', async () => {
  // TCG stands in for the accelerator, so that the tiny guest runs on any machine.
  assert.equal(await probeKvm({ ...machine, accelerator: 'tcg' }), {
    usable: true,
    reason: 'a tiny guest ran',
  });
});

test('each thing that is missing is told', async () => {
  const cases: [Partial<KvmProbeOptions>, string][] = [
    [{ device: join(folder, 'nowhere') }, 'is not there'],
    [{ cpuinfo: join(folder, 'no-vmx') }, 'neither vmx nor svm'],
    [{ cpuinfo: join(folder, 'nowhere') }, 'neither vmx nor svm'],
    [{ modules: join(folder, 'pvm-modules') }, 'neither kvm_intel nor kvm_amd'],
    [{ qemu: '/nowhere/qemu' }, '/nowhere/qemu is not installed'],
  ];
  for (const [change, words] of cases) {
    const probe = await probeKvm({ ...machine, accelerator: 'tcg', ...change });
    assert.is(probe.usable, false);
    assert.match(probe.reason, words);
  }
});

test('a guest that does not get through in half a second is no KVM', async () => {
  await withFakeQemu('exec sleep 60', async (qemu) => {
    const began = performance.now();
    const probe = await probeKvm({ ...machine, qemu });
    assert.equal(probe, { usable: false, reason: 'a tiny guest did not run within 500 ms' });
    assert.ok(performance.now() - began < 3000);
  });
});

test('a QEMU that ends in any other way is no KVM either', async () => {
  for (const [script, words] of [
    ['echo "failed to set MSR 0x10a" >&2; exit 1', 'failed to set MSR'],
    ['exit 0', 'exit code 0'],
  ] as const) {
    await withFakeQemu(script, async (qemu) => {
      const probe = await probeKvm({ ...machine, qemu });
      assert.is(probe.usable, false);
      assert.match(probe.reason, words);
    });
  }
});

test('an accelerator that is asked for is taken unseen, and auto says why it took what it took', async () => {
  assert.equal(await chooseAccelerator('kvm', '/nowhere/qemu'), { accelerator: 'kvm', reason: 'asked for' });
  const choice = await chooseAccelerator('auto', '/nowhere/qemu');
  assert.is(choice.accelerator, 'tcg');
  assert.match(choice.reason, /^no KVM: /);
});

test.after(() => rmSync(folder, { recursive: true }));

test.run();
