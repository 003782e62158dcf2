// What goes wrong over real verbs, on Soft-RoCE in a VM: something is missing, too many clients, nodes that fail.
import { suite } from 'uvu';
import { findExecutable } from '../hypervisor-shim/executable.js';
import { DEFAULT_QEMU } from '../hypervisor-shim/qemu.js';
import { VmPrograms } from './verbs/run-programs.js';

const FAILURES = 'verbs/failures';
const ERRORS = 'verbs/errors';
const OVERLOAD = 'verbs/overload';
const programs = new VmPrograms([ERRORS], [OVERLOAD], [FAILURES]);

const test = suite('trouble over verbs, on Soft-RoCE in a VM');
const vmTest = findExecutable(DEFAULT_QEMU) ? test : test.skip;
if (vmTest !== test) console.log(`skipped: ${DEFAULT_QEMU} is not installed; run: npm run setup`);

vmTest('locked memory, a device, a port or a network that is missing is told clearly', async () => {
  await programs.passed(ERRORS, 3);
});

vmTest('many clients with full windows against one node are all served or refused', async () => {
  console.log(/\d+ clients, .*$/m.exec(await programs.passed(OVERLOAD, 1))![0]);
});

vmTest('nodes stopped, unplugged, too slow and killed with reads in flight do no harm', async () => {
  console.log((await programs.passed(FAILURES, 5)).match(/^(client|node): .*$/gm)!.join('\n'));
});

test.run();
