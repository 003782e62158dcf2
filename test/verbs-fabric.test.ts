import { PassThrough } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { atLeast, below, median, printFigures } from '../bench/support/figures.js';
import { findExecutable } from '../hypervisor-shim/executable.js';
import { DEFAULT_QEMU } from '../hypervisor-shim/qemu.js';
import { ROOT } from '../src/native.js';
import { runInVm } from './verbs/vm.js';
import { VmError } from './verbs/vm-process.js';

/** The address of the VM's Soft-RoCE device. */
const HOST = '10.0.2.15';
const TIMEOUT_MS = 240_000;

const test = suite('fabric over verbs, on Soft-RoCE in a VM');
const vmTest = findExecutable(DEFAULT_QEMU) ? test : test.skip;
if (vmTest !== test) console.log(`skipped: ${DEFAULT_QEMU} is not installed; run: npm run setup`);

/** Runs a compiled program of the tests in the VM, over verbs. Returns its stdout; shows the guest's log if the VM fails. */
async function runOverVerbs(program: string): Promise<string> {
  const environment = ['VOLLEY_TEST_FABRIC=verbs', `VOLLEY_TEST_HOST=${HOST}`];
  const command = ['env', ...environment, 'node', '--enable-source-maps', `dist/test/${program}`];
  const stdout = new PassThrough();
  let output = '';
  stdout.on('data', (bytes) => {
    output += bytes;
  });
  const streams = { stdout, stderr: process.stderr };
  const run = runInVm({ command, folder: ROOT, timeoutMs: TIMEOUT_MS, ...streams });
  const { code } = await run.catch((error) => {
    if (error instanceof VmError) console.log(error.log.join('\n'));
    throw error;
  });
  assert.is(code, 0, output);
  return output;
}

vmTest('the tests of the fabric transport pass', async () => {
  const output = await runOverVerbs('fabric-load.test.js');
  const [, total, passed] = /Total:\s+(\d+)\s+Passed:\s+(\d+)/.exec(output) ?? [];
  assert.ok(Number(total) >= 10, output);
  assert.is(passed, total, output);
});

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
  const report = JSON.parse(await runOverVerbs('verbs/over-verbs.js')) as {
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
  printFigures([speed, below("node's CPU while it is read", share, 1, '% of a core')]);
});

test.run();
