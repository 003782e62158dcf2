import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import type { WantedTransport } from '../../client/index.js';
import type { BootReport } from '../../hypervisor-shim/index.js';
import { DEFAULT_CMDLINE, DEFAULT_MEMORY_BYTES } from '../../hypervisor-shim/machine.js';
import { DEFAULT_QEMU } from '../../hypervisor-shim/qemu.js';
import { stageRows } from '../../hypervisor-shim/stage-rows.js';
import { quote } from '../../src/keys.js';
import { formatBytes, formatSize } from '../../src/units.js';
import {
  addClusterOptions,
  addTransportOptions,
  type ClusterFlags,
  withCluster,
} from '../cluster-command.js';
import { describeNodeLoad, formatTable, printJson, printLines } from '../output.js';
import { parseBytes, parseDuration } from '../values.js';

interface BootFlags extends Omit<ClusterFlags, 'timeout'> {
  kernel: string;
  initrd?: string;
  cmdline: string;
  memory: number;
  cpus: number;
  until?: string;
  userspace?: string;
  /** In milliseconds, as is nodeTimeout. */
  timeout?: number;
  nodeTimeout: number;
  transport: WantedTransport;
  fabric: string;
  accel: 'auto' | 'kvm' | 'tcg';
  hugepages: 'auto' | 'off';
  qemu: string;
}

const MIB = 1024 * 1024;

const EXAMPLES = `
Examples:
  volley upload /boot/vmlinuz --kernel --name linux
  volley upload initrd.cpio --name initrd
  volley boot --kernel linux --initrd initrd --until 'login:' --timeout 60s

The guest's serial output goes to stdout as it comes (with --json to stderr). The command waits for the text of
--until, or without it for the guest's own end, and then stops the guest.`;

/** `volley boot`: boots a guest whose RAM is filled from the cluster. */
export function register(program: Command): void {
  const command = program.command('boot');
  addTransportOptions(command)
    .description("boot a guest out of the storage nodes' memory")
    .requiredOption('--kernel <name>', 'image of the kernel, stored with upload --kernel')
    .option('--initrd <name>', 'image of the initrd (default: none, for a kernel that has its own)')
    .option('--cmdline <text>', "the kernel's command line", DEFAULT_CMDLINE)
    .addOption(
      new Option('--memory <size>', "the guest's memory, such as 512M or 2G")
        .argParser(parseBytes)
        .default(DEFAULT_MEMORY_BYTES, formatSize(DEFAULT_MEMORY_BYTES)),
    )
    .option('--cpus <count>', "the guest's processors", parseCount, 1)
    .option('--until <text>', 'text on the serial port that makes the boot a success')
    .option('--userspace <text>', 'text by which userspace is timed (default: that of --until)')
    .option('--timeout <time>', 'longest time from the start of QEMU to that text', parseDuration)
    .addOption(
      new Option('--accel <how>', 'auto takes KVM where a probe shows that it runs')
        .choices(['auto', 'kvm', 'tcg'])
        .default('auto'),
    )
    .addOption(
      new Option('--hugepages <how>', 'whether to use hugepages').choices(['auto', 'off']).default('auto'),
    )
    .option('--qemu <path>', 'the QEMU to run', DEFAULT_QEMU)
    .addHelpText('after', EXAMPLES)
    .action((flags: BootFlags) => run(flags));
  addClusterOptions(command, '--node-timeout');
}

async function run(flags: BootFlags): Promise<void> {
  // Only here: the other commands need nothing of it.
  const { boot } = await import('../../hypervisor-shim/index.js');
  const startedAt = performance.now();
  const { nodeTimeout, json, transport } = flags;
  await withCluster({ ...flags, timeout: nodeTimeout }, transport, async (cluster, signal) => {
    const report = await boot({
      cluster,
      kernel: flags.kernel,
      initrd: flags.initrd,
      cmdline: flags.cmdline,
      memoryBytes: flags.memory,
      cpus: flags.cpus,
      until: flags.until,
      userspace: flags.userspace,
      timeoutMs: flags.timeout,
      accelerator: flags.accel,
      hugepages: flags.hugepages,
      qemu: flags.qemu,
      output: json ? process.stderr : process.stdout,
      signal,
      startedAt,
    });
    if (json) printJson(report);
    else printReport(report);
  });
}

function printReport(report: BootReport): void {
  const { totals, kernel, initrd, machine } = report;
  const rows = stageRows(report).map((row) => [row.stage, row.took, row.sinceSpawn, row.sinceStart]);
  const images = [kernel, ...(initrd ? [initrd] : [])].map(({ name }) => quote(name)).join(' and ');
  const size = `${formatBytes(totals.bytes)}, ${totals.chunks} chunks`;
  const speed = `${totals.seconds.toFixed(3)} s, ${totals.gbPerSecond.toFixed(2)} GB/s`;
  const trouble = totals.retries + totals.checksumFailures > 0;
  printLines(
    '',
    formatTable(['stage', 'took', 'since QEMU', 'since start'], rows),
    '',
    `loaded ${images}: ${size} (${totals.zeroChunks} zeros, ${totals.sharedChunks} shared) in ${speed}`,
    ...totals.nodes.map(describeNodeLoad),
    ...(trouble
      ? [
          `  ${totals.retries} reads were repeated, ${totals.checksumFailures} chunks failed their checksum first`,
        ]
      : []),
    `guest: ${machine.memoryBytes / MIB} MiB, ${machine.cpus} CPU, ${machine.accelerator} (${report.acceleratorReason})`,
    `kernel: ${describeKernel(kernel)}`,
    ...report.notices,
    `outcome: ${outcomeIn(report)}`,
  );
}

function describeKernel({ base, virtualAddress, kaslr }: BootReport['kernel']): string {
  const physical = `at 0x${base.toString(16)}`;
  if (kaslr.by === 'guest') return `unpacks itself ${physical} and draws its address there (${kaslr.reason})`;
  const how = kaslr.by === 'volley' ? 'random addresses' : 'fixed addresses, no KASLR';
  return `${physical}, mapped at ${virtualAddress}: ${how} (${kaslr.reason})`;
}

function outcomeIn({ outcome, endReason }: BootReport): string {
  if (outcome === 'until') return 'the awaited text came; the guest was stopped';
  return `the guest ended by itself${endReason === null ? '' : ` (${endReason})`}`;
}

function parseCount(text: string): number {
  if (/^\d{1,3}$/.test(text) && Number(text) >= 1) return Number(text);
  throw new InvalidArgumentError('It is a whole number, at least 1.');
}
