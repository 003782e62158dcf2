import { parseArgs } from 'node:util';
import { withSignals } from '../../bin/signals.js';
import { isVolleyError } from '../../src/errors.js';
import { formatMs, parseSize } from '../../src/units.js';
import { runInVm } from './vm.js';
import { VmError } from './vm-process.js';

const USAGE = `usage: scripts/in-verbs-vm [--timeout SECONDS] [--memory SIZE] [--module NAME]… -- COMMAND [ARGUMENT…]
Runs COMMAND in a VM that has a Soft-RoCE device and sees this host's files. See docs/testing.md.`;
const DEFAULT_TIMEOUT_S = 180;
const TIMEOUT_S_MAX = 86_400;
const MEMORY_BYTES_MIN = 512 << 20;
/** The VM could not run the command to its end: no command's own code, as with docker run. */
const VM_FAILED = 125;
const USAGE_EXIT = 2;
const LOG_LINES_MAX = 60;

function readOptions(args: string[]) {
  const split = args.indexOf('--');
  const command = split < 0 ? [] : args.slice(split + 1);
  const own = split < 0 ? args : args.slice(0, split);
  const { values } = parseArgs({
    args: own,
    options: {
      timeout: { type: 'string', default: String(DEFAULT_TIMEOUT_S) },
      memory: { type: 'string', default: '2G' },
      module: { type: 'string', multiple: true, default: [] },
    },
  });
  const timeoutS = Number(values.timeout);
  const memoryBytes = parseSize(values.memory, '--memory', 1 << 20);
  if (!(timeoutS > 0 && timeoutS <= TIMEOUT_S_MAX))
    throw new Error(`--timeout: "${values.timeout}" is out of range`);
  if (memoryBytes < MEMORY_BYTES_MIN) throw new Error('--memory: at least 512M');
  if (command.length === 0) throw new Error('no command; it stands after "--"');
  return { command, timeoutMs: timeoutS * 1000, memoryBytes, modules: values.module };
}

async function main(): Promise<number> {
  let options: ReturnType<typeof readOptions>;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`in-verbs-vm: ${(error as Error).message}\n${USAGE}\n`);
    return USAGE_EXIT;
  }
  try {
    const { stdout, stderr } = process;
    const report = await withSignals((signal) => runInVm({ ...options, stdout, stderr, signal }));
    const times = `booted in ${formatMs(report.bootMs)}, ended after ${formatMs(report.totalMs)} (${report.accelerator})`;
    if (report.code !== 0) showLog(report.log, 'while the command ran');
    stderr.write(`in-verbs-vm: exit code ${report.code}, ${times}\n`);
    return report.code;
  } catch (error) {
    if (!isVolleyError(error)) throw error;
    if (error instanceof VmError) showLog(error.log, 'up to its end');
    process.stderr.write(`in-verbs-vm: ${error.message}\n`);
    return VM_FAILED;
  }
}

function showLog(lines: string[], when: string): void {
  if (lines.length === 0) return;
  const shown = lines.slice(-LOG_LINES_MAX).map((line) => `  ${line}\n`);
  process.stderr.write(
    `in-verbs-vm: the guest's log ${when}, last ${shown.length} lines:\n${shown.join('')}`,
  );
}

process.exitCode = await main();
