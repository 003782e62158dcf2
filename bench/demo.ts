import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Cluster } from '../client/index.js';
import { type DirectBootReport, prepareKernel } from '../hypervisor-shim/index.js';
import { isVolleyError, VolleyError } from '../src/errors.js';
import { ROOT } from '../src/root.js';
import { formatBytes, formatMs, parseSize } from '../src/units.js';
import { bootByQemu, bootByVolley, type VolleyBoot } from './demo/boot-pair.js';
import { movedLine, nodeTable, stageTable } from './demo/tables.js';
import { type GuestInitrd, writeGuestInitrd } from './support/guest-initrd.js';
import { StorageProcess } from './support/storage-process.js';

/**
 * The main job, shown: three storage nodes, Debian's stock kernel and an initrd with a payload that only its checksum
 * can vouch for, and a guest that boots out of the nodes' memory; the same boot by QEMU alone beside it.
 */
const USAGE = `usage: npm run demo [-- [--payload SIZE] [--rounds N]]

  --payload SIZE   incompressible bytes in the initrd (default 64M)
  --rounds N       boots of each kind, taking turns; the table shows the median ones (default 3)
`;
const NODES = 3;
const NODE_MEMORY = '192M';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

interface Plan {
  payloadBytes: number;
  rounds: number;
}

interface Material {
  kernelFile: string;
  initrdFile: string;
  initrd: GuestInitrd;
}

function say(label: string, text: string): void {
  process.stdout.write(`  ${label.padEnd(8)}${text}\n`);
}

function readPlan(): Plan {
  const options = {
    payload: { type: 'string', default: '64M' },
    rounds: { type: 'string', default: '3' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  const { values } = parseArgs({ options });
  const rounds = Number(values.rounds);
  if (values.help || !Number.isInteger(rounds) || rounds < 1 || rounds > 100) {
    process.stderr.write(USAGE);
    process.exit(values.help ? 0 : 2);
  }
  return { payloadBytes: parseSize(values.payload, '--payload'), rounds };
}

/** Debian's kernel, unpacked by scripts/setup. */
function findKernel(): string {
  const folder = join(ROOT, '.cache', 'kernel', 'boot');
  const name =
    existsSync(folder) && readdirSync(folder).find((candidate) => candidate.startsWith('vmlinuz-'));
  if (!name) throw new VolleyError('ERR_VOLLEY_SETUP', `there is no kernel in ${folder}; run: npm run setup`);
  return join(folder, name);
}

async function makeMaterial(folder: string, { payloadBytes }: Plan): Promise<Material> {
  const kernelFile = findKernel();
  say('kernel', `${basename(kernelFile)}, ${formatBytes(statSync(kernelFile).size)}`);
  const initrdFile = join(folder, 'initrd.cpio');
  const initrd = await writeGuestInitrd(initrdFile, payloadBytes);
  const payload = `${formatBytes(initrd.payloadBytes)} of random bytes`;
  say('initrd', `${formatBytes(initrd.bytes)}: busybox, an init script and ${payload}`);
  say('', `sha256 of the payload ${initrd.payloadSha256}`);
  return { kernelFile, initrdFile, initrd };
}

async function upload(nodes: string[], material: Material, signal: AbortSignal): Promise<void> {
  const cluster = await Cluster.connect({ nodes, transport: 'tcp', signal });
  try {
    const kernel = await prepareKernel(material.kernelFile, { signal });
    const { kind, note, payload } = kernel;
    const stored = await cluster.upload(kernel.source, { name: 'linux', kind, signal });
    const form = note ?? `unpacked from ${payload} to ${formatBytes(stored.bytes)} of segments`;
    say('upload', `kernel ${form}, ${formatMs(stored.seconds * 1000)}`);
    const initrd = await cluster.upload(material.initrdFile, { name: 'initrd', signal });
    const speed = `${formatMs(initrd.seconds * 1000)}, ${initrd.gbPerSecond.toFixed(2)} GB/s`;
    say('', `initrd ${formatBytes(initrd.bytes)}, ${speed}`);
  } finally {
    await cluster.close();
  }
}

/** Of several boots the one whose userspace came in the middle of the others. */
function medianOf<T>(boots: T[], userspace: (boot: T) => number): T {
  return boots.toSorted((a, b) => userspace(a) - userspace(b))[Math.floor((boots.length - 1) / 2)]!;
}

async function bootAll(
  nodes: string[],
  material: Material,
  rounds: number,
  signal: AbortSignal,
): Promise<void> {
  const byVolley: VolleyBoot[] = [];
  const byQemu: DirectBootReport[] = [];
  for (let round = 1; round <= rounds; round++) {
    const volley = await bootByVolley(nodes, material.initrd, signal);
    byVolley.push(volley);
    const qemu = await bootByQemu(material.kernelFile, material.initrdFile, signal);
    byQemu.push(qemu);
    const times = `userspace after ${formatMs(volleyMs(volley))} by Volley, ${formatMs(qemuMs(qemu))} by QEMU`;
    say(round === 1 ? 'boot' : '', `${times}; the guest's sha256 is the same`);
  }
  const volley = medianOf(byVolley, volleyMs);
  const qemu = medianOf(byQemu, qemuMs);
  const { machine, acceleratorReason } = volley.report;
  const ratio = volleyMs(volley) / qemuMs(qemu);
  const memory = `${machine.memoryBytes / (1 << 20)} MiB, ${machine.cpus} CPU, ${machine.accelerator}`;
  const lines = [
    stageTable(volley, qemu),
    nodeTable(volley),
    movedLine(volley),
    `guest: ${memory} (${acceleratorReason})`,
    `userspace by Volley in ${ratio.toFixed(2)} of QEMU's own time; payload verified in ${rounds} of ${rounds} boots`,
  ];
  process.stdout.write(`\n${lines.join('\n')}\n`);
}

function volleyMs({ report }: VolleyBoot): number {
  return report.points.userspace?.sinceSpawn ?? Number.NaN;
}

function qemuMs({ points }: DirectBootReport): number {
  return points.userspace?.sinceSpawn ?? Number.NaN;
}

async function demo(plan: Plan, folder: string, signal: AbortSignal): Promise<void> {
  process.stdout.write('Volley: a Linux guest out of the memory of three storage nodes\n\n');
  const material = await makeMaterial(folder, plan);
  signal.throwIfAborted();
  const starting = Array.from({ length: NODES }, (_, i) =>
    StorageProcess.start(NODE_MEMORY, join(folder, `node-${i}.sock`), signal),
  );
  const started = await Promise.allSettled(starting);
  const processes = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  try {
    for (const one of started) if (one.status === 'rejected') throw one.reason;
    say('nodes', processes.map(({ name, pid }) => `${name} (process ${pid})`).join(', '));
    const nodes = processes.map(({ name }) => name);
    await upload(nodes, material, signal);
    await bootAll(nodes, material, plan.rounds, signal);
  } finally {
    await Promise.all(processes.map((node) => node.stop()));
  }
}

/** Runs the demo; whatever ends it, the folder goes with it, and so do the processes it has started. */
async function main(): Promise<number> {
  const plan = readPlan();
  const folder = mkdtempSync(join(tmpdir(), 'volley-demo-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const controller = new AbortController();
  const interrupt = (name: NodeJS.Signals) => {
    controller.abort(new VolleyError('ERR_VOLLEY_ABORTED', `interrupted by ${name}`));
  };
  for (const name of SIGNALS) process.on(name, interrupt);
  try {
    await demo(plan, folder, controller.signal);
    return 0;
  } catch (error) {
    const cause = controller.signal.aborted ? controller.signal.reason : error;
    const unexpected = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    process.stderr.write(`demo: ${isVolleyError(cause) ? cause.message : unexpected}\n`);
    return 1;
  }
}

process.exit(await main());
