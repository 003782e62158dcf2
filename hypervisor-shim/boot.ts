import type { Writable } from 'node:stream';
import type { Cluster, LoadReport, Manifest } from '../client/index.js';
import { quote } from '../src/keys.js';
import { type GuestMemory, native } from '../src/native.js';
import { type AcceleratorChoice, chooseAccelerator } from './accelerator.js';
import { startKernel } from './doorbell.js';
import { canTieToThisProcess } from './executable.js';
import { type FilledGuest, GuestFiller, type StoredKernel } from './guest-filler.js';
import { type GuestOutcome, GuestRun } from './guest-run.js';
import { Handoff } from './handoff.js';
import { KERNEL_HEADER_BYTES_MAX, parseKernelHeader, parseRawKernel } from './kernel-image.js';
import { type LoadTotals, totalOf } from './load-totals.js';
import {
  type Accelerator,
  checkCmdline,
  checkMachine,
  DEFAULT_CMDLINE,
  DEFAULT_MEMORY_BYTES,
  type Machine,
  MEMORY_BACKEND,
  machineArguments,
} from './machine.js';
import { MemoryLayout } from './memory-layout.js';
import { DEFAULT_QEMU } from './qemu.js';
import { type BootPoint, type PointTimes, StageClock } from './stage-clock.js';
import { makeStubKernel, pathOf } from './stub-kernel.js';

const LAST_LINES = 20;
const NO_SETPRIV = 'setpriv (Debian: util-linux) is missing: a QEMU outlives this process if that is killed';

export interface BootOptions {
  cluster: Pick<Cluster, 'open' | 'load' | 'read' | 'stages'>;
  /** Names of images. */
  kernel: string;
  initrd: string;
  /** Default: DEFAULT_CMDLINE. */
  cmdline?: string;
  /** Default: DEFAULT_MEMORY_BYTES. Rounded up to 2 MiB. */
  memoryBytes?: number;
  /** Default 1. */
  cpus?: number;
  /** Text on the serial port that makes the boot a success; without it the guest's own end does. */
  until?: string;
  /** Text on the serial port by which userspace is timed. Default: `until`. */
  userspace?: string;
  /** From QEMU's start to `until`, or to the guest's end. Default: as long as it takes. */
  timeoutMs?: number;
  accelerator?: 'auto' | Accelerator;
  /** Whether guest memory is made of hugepages when enough are free. Default `auto`. */
  hugepages?: 'auto' | 'off';
  /** Path or name of the QEMU binary. */
  qemu?: string;
  /** Gets the guest's serial output as it comes. */
  output?: Writable;
  signal?: AbortSignal;
  /** performance.now() of the moment from which times since the start count. Default: now. */
  startedAt?: number;
}

export interface BootReport {
  outcome: GuestOutcome;
  /** QEMU's word for the guest's end (`guest-shutdown`, `guest-reset`…), or null when it was stopped. */
  endReason: string | null;
  machine: Machine;
  acceleratorReason: string;
  cmdline: string;
  /** `address` is the guest physical one of the image's first byte. */
  kernel: { name: string; kind: Manifest['kind']; bytes: number; address: number };
  initrd: { name: string; bytes: number; address: number };
  /** Milliseconds that the cluster's connecting, tables, reading and verifying took. */
  stages: { connectMs: number; tablesMs: number; readMs: number; verifyMs: number };
  /** When each point was reached. */
  points: Partial<Record<BootPoint, PointTimes>>;
  totals: LoadTotals;
  /** Each image's own load. */
  loads: LoadReport[];
  /** What is not as it should be, though the guest booted. */
  notices: string[];
  /** The last lines of the guest's serial output. */
  lastLines: string[];
}

/**
 * Boots a guest whose RAM Volley fills: QEMU gets a stub for a kernel and starts at once; kernel and initrd are loaded
 * while firmware runs; then the stub's doorbell is rung. When it settles, QEMU is gone and guest memory is freed.
 * @throws VolleyError ERR_VOLLEY_KERNEL, _MEMORY, _USAGE, _QEMU, _GUEST (the guest ended, panicked or was too late),
 *   _ABORTED, _SETUP, and whatever Cluster.open and Cluster.load throw
 */
export async function boot(options: BootOptions): Promise<BootReport> {
  return new Boot(options).run();
}

class Boot {
  readonly #options: BootOptions;
  readonly #clock: StageClock;
  readonly #cmdline: string;
  readonly #qemu: string;

  constructor(options: BootOptions) {
    this.#options = options;
    this.#clock = new StageClock(options.startedAt);
    this.#cmdline = options.cmdline ?? DEFAULT_CMDLINE;
    this.#qemu = options.qemu ?? DEFAULT_QEMU;
  }

  async run(): Promise<BootReport> {
    const { memoryBytes = DEFAULT_MEMORY_BYTES, cpus = 1, accelerator = 'auto' } = this.#options;
    const checked = checkMachine(memoryBytes, cpus);
    const [choice, stored] = await Promise.all([
      chooseAccelerator(accelerator, this.#qemu),
      this.#openKernel(),
    ]);
    checkCmdline(this.#cmdline, stored.kernel.bzImage.cmdlineBytesMax);
    const machine = { ...checked, accelerator: choice.accelerator };
    const hugepages = this.#options.hugepages !== 'off';
    const memory = native().GuestMemory.create(machine.memoryBytes, { hugepages });
    try {
      return await this.#runGuest(machine, choice, stored, memory);
    } finally {
      memory.close();
    }
  }

  async #openKernel(): Promise<StoredKernel> {
    const { cluster, kernel: name, signal } = this.#options;
    const manifest = await cluster.open(name, signal);
    const headBytes = Math.min(KERNEL_HEADER_BYTES_MAX, manifest.imageBytes);
    const head = await cluster.read(manifest, 0, headBytes);
    const parse = manifest.kind === 'kernel' ? parseKernelHeader : parseRawKernel;
    return { manifest, kernel: parse(head, manifest.imageBytes, `image ${quote(name)}`) };
  }

  async #runGuest(
    machine: Machine,
    choice: AcceleratorChoice,
    stored: StoredKernel,
    memory: GuestMemory,
  ): Promise<BootReport> {
    const { until, userspace, timeoutMs, output, signal } = this.#options;
    const stub = makeStubKernel(stored.kernel.setup);
    let run: GuestRun | undefined;
    let filling: Promise<FilledGuest> | undefined;
    try {
      const kernelArguments = ['-kernel', pathOf(stub), '-append', this.#cmdline];
      const args = [...machineArguments(machine, pathOf(memory)), ...kernelArguments];
      const clock = this.#clock;
      run = await GuestRun.start({
        qemu: this.#qemu,
        args,
        clock,
        until,
        userspace,
        timeoutMs,
        output,
        signal,
      });
      filling = this.#fillAndStart(run, stored, memory);
      const filled = await run.guard(filling);
      const outcome = await run.outcome;
      const { endReason } = run;
      await run.stop();
      const lastLines = run.log.lines().slice(-LAST_LINES);
      const notices = [memory.notice, canTieToThisProcess() ? null : NO_SETPRIV].filter(
        (text) => text !== null,
      );
      const guest = { outcome, endReason, machine, acceleratorReason: choice.reason, notices, lastLines };
      return { ...guest, ...this.#describe(stored, filled) };
    } finally {
      await run?.stop();
      // A load that was cut short still has threads writing to guest memory until it settles.
      await filling?.catch(() => {});
      stub.close();
    }
  }

  /** Everything from QEMU's start to the doorbell. */
  async #fillAndStart(run: GuestRun, stored: StoredKernel, memory: GuestMemory): Promise<FilledGuest> {
    const { cluster, initrd } = this.#options;
    const layoutTold = readLayout(run, memory);
    const filler = new GuestFiller(cluster, stored, memory, run.signal);
    const filled = await filler.fill(initrd, layoutTold);
    this.#clock.reach('loaded');
    const layout = await layoutTold;
    const handoff = new Handoff(memory, (address, bytes) => layout.offsetOf(address, bytes));
    const { initrdAddress } = filled.placement;
    const order = { entry: stored.kernel.entry, initrdAddress, initrdBytes: filled.initrdBytes };
    await startKernel(handoff, order, run, this.#clock);
    return filled;
  }

  /** The report's part on what was loaded and when. */
  #describe({ manifest, kernel }: StoredKernel, { placement, initrdBytes, loads }: FilledGuest) {
    const totals = totalOf(loads);
    const { kind, imageBytes } = manifest;
    return {
      cmdline: this.#cmdline,
      kernel: { name: this.#options.kernel, kind, bytes: imageBytes, address: kernel.loadAddress },
      initrd: { name: this.#options.initrd, bytes: initrdBytes, address: placement.initrdAddress },
      stages: { ...this.#options.cluster.stages, readMs: totals.readMs, verifyMs: totals.verifyMs },
      points: this.#clock.times(),
      totals,
      loads,
    };
  }
}

async function readLayout(run: GuestRun, memory: GuestMemory): Promise<MemoryLayout> {
  await run.openMonitor();
  const text = await run.askMonitor('info mtree -f');
  return MemoryLayout.parse(text, MEMORY_BACKEND, memory.bytes);
}
