import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findExecutable } from '../hypervisor-shim/executable.js';
import { DEFAULT_QEMU } from '../hypervisor-shim/qemu.js';
import { ROOT } from '../src/root.js';
import { formatBytes } from '../src/units.js';
import { rejects } from './support/rejection.js';
import { copyUntilCode } from './verbs/guest-output.js';
import { runInVm, type VmReport } from './verbs/vm.js';
import { VmError } from './verbs/vm-process.js';

const TIMEOUT_MS = 100_000;
const NONCE = '00112233445566778899aabbccddeeff';

const test = suite('a VM with Soft-RoCE');
/** Tests that boot it; without QEMU they are skipped. */
const vmTest = findExecutable(DEFAULT_QEMU) ? test : test.skip;
if (vmTest !== test) console.log(`skipped: ${DEFAULT_QEMU} is not installed; run: npm run setup`);

interface Check {
  code: number;
  output: string;
}

interface VmRun {
  report: VmReport;
  checks: Map<string, Check>;
  stderr: string;
}

let run: Promise<VmRun> | undefined;

/** What checks.sh tells; the VM is booted once for all tests. */
function checksInVm(): Promise<VmRun> {
  run ??= runChecks();
  return run;
}

async function runChecks(): Promise<VmRun> {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() };
  const stdout = textOf(streams.stdout);
  const stderr = textOf(streams.stderr);
  const command = ['sh', 'test/verbs/checks.sh'];
  const report = await runInVm({ command, folder: ROOT, timeoutMs: TIMEOUT_MS, ...streams }).catch(
    (error) => {
      if (error instanceof VmError) console.log(error.log.join('\n'));
      throw error;
    },
  );
  streams.stdout.end();
  streams.stderr.end();
  const parts = (await stdout).split(/^== (\w+) (\d+)\n/m).slice(1);
  const checks = new Map<string, Check>();
  for (let i = 0; i < parts.length; i += 3) {
    checks.set(parts[i]!, { code: Number(parts[i + 1]), output: parts[i + 2]! });
  }
  return { report, checks, stderr: await stderr };
}

async function textOf(stream: PassThrough): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of stream as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}

/** The output of a check that succeeded. */
async function outputOf(name: string): Promise<string> {
  const { checks } = await checksInVm();
  const check = checks.get(name);
  assert.ok(check, `checks.sh tells nothing of ${name}`);
  assert.is(check!.code, 0, check!.output);
  return check!.output;
}

vmTest("the host's Node loads the host's addon", async () => {
  assert.match(await outputOf('addon'), /^function$/m);
});

vmTest('there is a device rxe0, and memory may be locked without limit', async () => {
  assert.match(await outputOf('devices'), /\brxe0\b/);
  assert.match(await outputOf('memlock'), /^unlimited$/m);
});

vmTest('ib_read_bw reads 32 kB with 16 outstanding over rxe0', async () => {
  const output = await outputOf('bandwidth');
  // Bytes, iterations, peak and average in MiB/s.
  const row = /^\s*32768\s+2000\s+[\d.]+\s+([\d.]+)/m.exec(output);
  const bytesPerSecond = Number(row?.[1]) * 2 ** 20;
  assert.ok(bytesPerSecond > 0, output);
  const { report } = await checksInVm();
  console.log(`ib_read_bw: ${formatBytes(bytesPerSecond)}/s; booted in ${report.bootMs} ms`);
});

vmTest('libfabric offers FI_EP_MSG on rxe0 through verbs, and it carries messages', async () => {
  const output = await outputOf('fabric');
  for (const line of [/provider: verbs$/m, /domain: rxe0$/m, /type: FI_EP_MSG$/m]) assert.match(output, line);
  assert.match(await outputOf('pingpong'), /^32k\s+100\s+=100/m);
});

vmTest("exit code and stderr are the command's, and what it writes stays in the VM", async () => {
  const { report, stderr } = await checksInVm();
  assert.is(report.code, 42);
  assert.is(stderr, 'to stderr\n');
  assert.is(await outputOf('written'), 'written in the VM\n');
  assert.not.match(readFileSync(join(ROOT, 'package.json'), 'utf8'), 'written in the VM');
});

vmTest('a VM is stopped at its deadline and by the signal, and QEMU is gone', async () => {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() };
  const late = runInVm({ command: ['true'], timeoutMs: 300, ...streams });
  await rejects(late, 'ERR_VOLLEY_TIMEOUT', 'while it booted', '0.3 s');
  const options = { command: ['true'], timeoutMs: TIMEOUT_MS, signal: AbortSignal.abort(), ...streams };
  await rejects(runInVm(options), 'ERR_VOLLEY_ABORTED');
  assert.is(readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8'), '');
});

vmTest('a kernel module that is not there is named', async () => {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() };
  const missing = runInVm({ command: ['true'], modules: ['no-such'], timeoutMs: TIMEOUT_MS, ...streams });
  await rejects(missing, 'ERR_VOLLEY_SETUP', 'no module no_such');
});

/** Feeds the pieces one by one. Returns what was copied and the code that was found. */
async function copied(pieces: Buffer[]): Promise<[text: string, code: number | undefined]> {
  const from = new PassThrough();
  const to = new PassThrough();
  const text = textOf(to);
  const code = copyUntilCode(from, to, NONCE, new AbortController().signal);
  for (const piece of pieces) {
    from.write(piece);
    // What is written in one turn would be read in one piece.
    await new Promise((resolve) => setImmediate(resolve));
  }
  from.end();
  const found = await code;
  to.end();
  return [await text, found];
}

test('the exit code behind the output is found however the bytes come', async () => {
  const lookalike = NONCE.slice(0, 20);
  const bytes = Buffer.from(`all is ${lookalike} well${NONCE} 137\n`);
  const expected = [`all is ${lookalike} well`, 137];
  for (const size of [1, 3, 31, 32, 33, bytes.length]) {
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size),
    );
    assert.equal(await copied(pieces), expected);
  }
});

test('output that ends without an exit code is passed on whole', async () => {
  for (const text of ['', 'cut', `cut in ${NONCE.slice(0, 12)}`]) {
    assert.equal(await copied([Buffer.from(text)]), [text, undefined]);
  }
});

test('output that does not end is passed on without delay', async () => {
  const from = new PassThrough();
  const to = new PassThrough();
  const copy = copyUntilCode(from, to, NONCE, new AbortController().signal);
  from.write('50 %');
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.is(String(to.read()), '50 %');
  from.end(`${NONCE} 0\n`);
  assert.is(await copy, 0);
});

test.run();
