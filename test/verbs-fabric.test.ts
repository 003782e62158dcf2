// What is run over real verbs, on Soft-RoCE in a VM, each time: loads and the device's limits. The VM is
// booted once; what it tells is asserted on by several tests. verbs-fabric-long.test.ts has the rest.
import { suite } from 'uvu';
import { findExecutable } from '../hypervisor-shim/executable.js';
import { DEFAULT_QEMU } from '../hypervisor-shim/qemu.js';
import { VmPrograms } from './verbs/run-programs.js';

/** Compiled programs in dist/test. */
const TRANSPORT = 'fabric-load.test';
const DEVICE = 'fabric-device.test';
const programs = new VmPrograms([DEVICE, '+', TRANSPORT]);

const test = suite('fabric over verbs, on Soft-RoCE in a VM');
const vmTest = findExecutable(DEFAULT_QEMU) ? test : test.skip;
if (vmTest !== test) console.log(`skipped: ${DEFAULT_QEMU} is not installed; run: npm run setup`);

vmTest('the tests of the fabric transport pass over connected endpoints', async () => {
  await programs.passed(TRANSPORT, 9);
});

vmTest("the device's bound of reads is kept, and memory is registered once for all loads", async () => {
  console.log((await programs.passed(DEVICE, 3)).match(/(rxe0|pinned): .*$/gm)!.join('\n'));
});

test.run();
