import type { Writable } from 'node:stream';
import { chooseAccelerator } from './accelerator.js';
import { type GuestOutcome, GuestRun } from './guest-run.js';
import {
  type Accelerator,
  checkMachine,
  DEFAULT_CMDLINE,
  DEFAULT_MEMORY_BYTES,
  type Machine,
  machineArguments,
} from './machine.js';
import { DEFAULT_QEMU } from './qemu.js';
import { type BootPoint, type PointTimes, StageClock } from './stage-clock.js';

export interface DirectBootOptions {
  /** A bzImage and an initrd, as files. */
  kernelFile: string;
  initrdFile: string;
  cmdline?: string;
  memoryBytes?: number;
  cpus?: number;
  until?: string;
  userspace?: string;
  timeoutMs?: number;
  accelerator?: 'auto' | Accelerator;
  qemu?: string;
  output?: Writable;
  signal?: AbortSignal;
}

export interface DirectBootReport {
  outcome: GuestOutcome;
  machine: Machine;
  points: Partial<Record<BootPoint, PointTimes>>;
}

/**
 * The reference that a boot by Volley is compared with: the same machine, its kernel and initrd given to QEMU as files
 * (`-kernel`, `-initrd`), its RAM QEMU's own. Options are those of boot().
 * @throws VolleyError ERR_VOLLEY_QEMU, _GUEST, _USAGE, _ABORTED
 */
export async function bootDirect(options: DirectBootOptions): Promise<DirectBootReport> {
  const {
    memoryBytes = DEFAULT_MEMORY_BYTES,
    cpus = 1,
    qemu = DEFAULT_QEMU,
    cmdline = DEFAULT_CMDLINE,
  } = options;
  const { accelerator } = await chooseAccelerator(options.accelerator ?? 'auto', qemu);
  const machine = { ...checkMachine(memoryBytes, cpus), accelerator };
  const files = ['-kernel', options.kernelFile, '-initrd', options.initrdFile, '-append', cmdline];
  const { until, userspace, timeoutMs, output, signal } = options;
  const clock = new StageClock();
  const args = [...machineArguments(machine), ...files];
  const run = await GuestRun.start({ qemu, args, clock, until, userspace, timeoutMs, output, signal });
  try {
    run.guestStarted();
    await run.openMonitor();
    const outcome = await run.outcome;
    return { outcome, machine, points: clock.times() };
  } finally {
    await run.stop();
  }
}
