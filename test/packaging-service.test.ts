import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findExecutable } from '../hypervisor-shim/executable.js';
import { DEFAULT_QEMU } from '../hypervisor-shim/qemu.js';
import { ROOT } from '../src/root.js';
import { TestProcess } from './support/processes.js';
import { runInVm } from './verbs/vm.js';
import { VmError } from './verbs/vm-process.js';

const BUILD_TIMEOUT_MS = 120_000;
const VM_TIMEOUT_MS = 150_000;

const test = suite('the service under systemd');
const vmTest = findExecutable(DEFAULT_QEMU) ? test : test.skip;
if (vmTest !== test) console.log(`skipped: ${DEFAULT_QEMU} is not installed; run: npm run setup`);
const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** What service.sh told of each step, by its name. */
async function runService(packagePath: string): Promise<Map<string, string>> {
  const stdout = new PassThrough();
  let output = '';
  stdout.on('data', (bytes) => {
    output += bytes;
  });
  const command = ['sh', 'test/verbs/service.sh', packagePath];
  const limits = { folder: ROOT, timeoutMs: VM_TIMEOUT_MS };
  const report = await runInVm({ command, ...limits, stdout, stderr: process.stderr }).catch((error) => {
    if (error instanceof VmError) console.log(`${output}\n${error.log.join('\n')}`);
    throw error;
  });
  assert.is(report.code, 0, `${output}\n${report.log.join('\n')}`);
  const steps = output.split(/^== /m).slice(1);
  return new Map(steps.map((step) => [step.split('\n')[0]!, step.slice(step.indexOf('\n') + 1)]));
}

vmTest(
  'the packaged unit starts in all of its sandbox, is read over verbs, keeps its region file, and stops',
  async () => {
    const build = new TestProcess(join(ROOT, 'scripts', 'build-deb'), [folder]);
    assert.is(await build.ended(BUILD_TIMEOUT_MS), 0, build.stderr);
    const told = await runService(build.stdout.trim());
    // `systemctl start` has waited until the node could be used: no client failed, and nothing was restarted.
    assert.match(told.get('start')!, /^ActiveState=active$/m);
    assert.match(told.get('start')!, /^NRestarts=0$/m);
    const sandbox = told.get('process')!;
    assert.not.match(sandbox, /^Uid:\s+0/m);
    assert.match(sandbox, /^CapEff:\s+0+$/m);
    assert.match(sandbox, /^CapBnd:\s+0+$/m);
    assert.match(sandbox, /^NoNewPrivs:\s+1$/m);
    assert.match(sandbox, /^Seccomp:\s+2$/m);
    assert.match(sandbox, /^Max locked memory\s+unlimited\s+unlimited/m);
    const [node] = JSON.parse(told.get('use')!).nodes;
    assert.equal([node.transport, node.fabric.provider, node.fallbackChunks], ['fabric', 'verbs', 0]);
    assert.match(told.get('reload')!, /^image\s+3\.00 MB/m);
    assert.match(told.get('restart')!, /^image\s+3\.00 MB/m);
    assert.match(told.get('stop')!, /^Result=success$/m);
    assert.match(told.get('stop')!, /^ExecMainStatus=0$/m);
  },
);

test.run();
