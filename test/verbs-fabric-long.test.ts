// What is run over real verbs, on Soft-RoCE in a VM, for releases: figures, failures, overload, changes amid loads. The VM is
// booted once; what it tells is asserted on by several tests.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { atLeast, below, median, printFigures } from '../bench/support/figures.js';
import { findExecutable } from '../hypervisor-shim/executable.js';
import { DEFAULT_QEMU } from '../hypervisor-shim/qemu.js';
import { VmPrograms } from './verbs/run-programs.js';

/** Compiled programs in dist/test. */
const FIGURES = 'verbs/over-verbs';
const DATAGRAMS = 'fabric-load.test,verbs;ofi_rxm';
const OVERLOAD = 'verbs/overload';
const FAILURES = 'verbs/failures';
const REFUSED = 'fabric-refused.test';
const CHANGES = 'fabric-table-changes.test';
const ERRORS = 'verbs/errors';
const LIES = 'fabric-failures-lies.test';
/** Figures first, alone in the VM; then all others, side by side. */
const programs = new VmPrograms(
  [FIGURES],
  [OVERLOAD, REFUSED, DATAGRAMS, ERRORS, '+', FAILURES, CHANGES, LIES],
);

const test = suite('fabric over verbs, on Soft-RoCE in a VM, at length');
const vmTest = findExecutable(DEFAULT_QEMU) ? test : test.skip;
if (vmTest !== test) console.log(`skipped: ${DEFAULT_QEMU} is not installed; run: npm run setup`);

vmTest('the tests of the fabric transport pass over reliable datagrams', async () => {
  await programs.passed(DATAGRAMS, 8);
});

vmTest('many clients with full windows against one node are all served or refused', async () => {
  console.log(/\d+ clients, .*$/m.exec(await programs.passed(OVERLOAD, 1))![0]);
});

vmTest('nodes stopped, unplugged, too slow and killed with reads in flight do no harm', async () => {
  console.log((await programs.passed(FAILURES, 5)).match(/^(client|node): .*$/gm)!.join('\n'));
});

vmTest(
  'eight clients load while chunks are deleted, replaced and spoilt: all that is told as loaded is right',
  async () => {
    console.log((await programs.passed(CHANGES, 2)).match(/quarantine \d.*$/gm)!.join('\n'));
  },
);

vmTest('reads that the device takes no more of are tried again soon, and without haste', async () => {
  console.log(/\d+ reads refused, .*$/m.exec(await programs.passed(REFUSED, 1))![0]);
});

vmTest('locked memory, a device, a port or a network that is missing is told clearly', async () => {
  await programs.passed(ERRORS, 3);
});

vmTest(
  'a node that tells addresses outside, other lengths or other bytes costs a chunk or a connection',
  async () => {
    await programs.passed(LIES, 5);
  },
);

interface Round {
  volley: number;
  reference: number;
  seconds: number;
  nodeCpuSeconds: number;
  retries: number;
  checksumFailures: number;
  transport: string;
  fallbackChunks: number;
}

vmTest('images, a real kernel and an initrd come whole by one-sided reads, beside ib_read_bw', async () => {
  const output = await programs.outputOf(FIGURES);
  const report = JSON.parse(output.trim().split('\n').at(-1)!) as {
    bytes: number;
    rounds: Round[];
    filled: { bytes: number; same: boolean };
  };
  for (const { transport, retries, checksumFailures, fallbackChunks } of report.rounds) {
    assert.equal([transport, retries, checksumFailures, fallbackChunks], ['fabric', 0, 0, 0]);
  }
  assert.ok(report.filled.bytes > 40e6);
  assert.is(report.filled.same, true, 'guest memory holds kernel and initrd byte for byte');
  const of = (pick: (round: Round) => number) => median(report.rounds.map(pick));
  const speed = atLeast(
    'load, verbs on rxe',
    of(({ volley }) => volley / 1e6),
    of(({ reference }) => reference / 1e6),
    0.95,
    'MB/s',
    'ib_read_bw -s 32768 -o 16',
  );
  const share = of(({ nodeCpuSeconds, seconds }) => (100 * nodeCpuSeconds) / seconds);
  const perGb = of(({ nodeCpuSeconds }) => (1e9 * nodeCpuSeconds) / report.bytes);
  console.log(`the node used ${perGb.toFixed(4)} CPU seconds per GB that was read of it`);
  printFigures([
    speed,
    below("node's CPU while it is read", share, 1, '% of a core'),
    below('all of this in the VM', await programs.ownSeconds(), 180, 's'),
  ]);
  // A busy host stretches all times; a node that answered itself would use most of a core.
  assert.ok(share < 20, `the node used ${share} % of a core while it was read`);
});

test.run();
