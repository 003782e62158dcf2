import type { Writable } from 'node:stream';
import type { Cluster, LoadReport, Manifest } from '../client/index.js';
import { quote } from '../src/keys.js';
import { type GuestMemory, native } from '../src/native.js';
import { type AcceleratorChoice, chooseAccelerator } from './accelerator.js';
import { startKernel } from './doorbell.js';
import { canTieToThisProcess } from './executable.js';
import { type FilledGuest, GuestFiller, type GuestImages, type StoredKernel } from './guest-filler.js';
import { type GuestOutcome, GuestRun } from './guest-run.js';
import { Handoff } from './handoff.js';
import { chooseKaslr, type KaslrChoice, markSetup, virtualAddress } from './kaslr.js';
import { KERNEL_HEAD_BYTES_MAX, parseKernelHeader, parseRawKernel } from './kernel-image.js';
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
  /** Left out where the kernel has its own, or needs none. */
  initrd?: string;
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
  kernel: BootedKernel;
  /** `address` is the guest physical one of its first byte. */
  initrd: { name: string; bytes: number; address: number } | null;
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

/** Where the kernel lies. A kernel that unpacks itself in the guest (`raw`) may move itself from there. */
export interface BootedKernel {
  name: string;
  kind: Manifest['kind'];
  bytes: number;
  /** Guest physical address of the image's first byte. */
  address: number;
  /** Guest physical address of the kernel itself. */
  base: number;
  /** Its first virtual address, as `0xffffffff81000000`; null when the guest draws it. */
  virtualAddress: string | null;
  /** Who drew these addresses at random (KASLR), and why so. */
  kaslr: KaslrChoice;
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
    const [choice, images] = await Promise.all([
      chooseAccelerator(accelerator, this.#qemu),
      this.#openImages(),
    ]);
    const machine = { ...checked, accelerator: choice.accelerator };
    const hugepages = this.#options.hugepages !== 'off';
    const memory = native().GuestMemory.create(machine.memoryBytes, { hugepages });
    try {
      return await this.#runGuest(machine, choice, images, memory);
    } finally {
      memory.close();
    }
  }

  async #openImages(): Promise<GuestImages> {
    const { cluster, initrd: name, signal } = this.#options;
    const [kernel, initrd] = await Promise.all([
      this.#openKernel(),
      name === undefined ? null : cluster.open(name, signal),
    ]);
    const cmdline = this.#cmdline;
    checkCmdline(cmdline, kernel.kernel.bzImage.cmdlineBytesMax);
    return { kernel, initrd, cmdline, kaslr: chooseKaslr(kernel.manifest.kind, kernel.kernel, cmdline) };
  }

  async #openKernel(): Promise<StoredKernel> {
    const { cluster, kernel: name, signal } = this.#options;
    const manifest = await cluster.open(name, signal);
    const headBytes = Math.min(KERNEL_HEAD_BYTES_MAX, manifest.imageBytes);
    const head = await cluster.read(manifest, 0, headBytes);
    const parse = manifest.kind === 'kernel' ? parseKernelHeader : parseRawKernel;
    return { manifest, kernel: parse(head, manifest.imageBytes, `image ${quote(name)}`) };
  }

  async #runGuest(
    machine: Machine,
    choice: AcceleratorChoice,
    images: GuestImages,
    memory: GuestMemory,
  ): Promise<BootReport> {
    const { until, userspace, timeoutMs, output, signal } = this.#options;
    const { setup } = images.kernel.kernel;
    const stub = makeStubKernel(markSetup(setup, images.kaslr.by === 'volley'));
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
      filling = this.#fillAndStart(run, images, memory);
      const filled = await run.guard(filling);
      const outcome = await run.outcome;
      const { endReason } = run;
      await run.stop();
      const lastLines = run.log.lines().slice(-LAST_LINES);
      const untied = canTieToThisProcess() ? null : NO_SETPRIV;
      const notices = [memory.notice, untied, run.initrdFault].filter((text) => text !== null);
      const guest = { outcome, endReason, machine, acceleratorReason: choice.reason, notices, lastLines };
      return { ...guest, ...this.#describe(images, filled) };
    } finally {
      await run?.stop();
      // A load that was cut short still has threads writing to guest memory until it settles.
      await filling?.catch(() => {});
      stub.close();
    }
  }

  /** Everything from QEMU's start to the doorbell. */
  async #fillAndStart(run: GuestRun, images: GuestImages, memory: GuestMemory): Promise<FilledGuest> {
    const layoutRead = readLayout(run, memory);
    const filled = await new GuestFiller(this.#options.cluster, images, memory, run.signal).fill(layoutRead);
    this.#clock.reach('loaded');
    const layout = await layoutRead;
    const handoff = new Handoff(memory, (address, bytes) => layout.offsetOf(address, bytes));
    const { kernel } = images.kernel;
    const { kernelAddress, initrdAddress } = filled.placement;
    const entry = kernel.entry - kernel.base + kernelAddress;
    const order = { entry, initrdAddress, initrdBytes: images.initrd?.imageBytes ?? 0 };
    await startKernel(handoff, order, run, this.#clock);
    return filled;
  }

  /** The report's part on what was loaded and when. */
  #describe(images: GuestImages, filled: FilledGuest) {
    const { initrd, kaslr } = images;
    const { placement, loads } = filled;
    const totals = totalOf(loads);
    return {
      cmdline: this.#cmdline,
      kernel: describeKernel(images.kernel, filled, kaslr),
      initrd: initrd && { name: initrd.name, bytes: initrd.imageBytes, address: placement.initrdAddress },
      stages: { ...this.#options.cluster.stages, readMs: totals.readMs, verifyMs: totals.verifyMs },
      points: this.#clock.times(),
      totals,
      loads,
    };
  }
}

function describeKernel(
  { manifest, kernel }: StoredKernel,
  { placement, virtualDelta }: FilledGuest,
  kaslr: KaslrChoice,
): BootedKernel {
  const { name, kind, imageBytes: bytes } = manifest;
  const base = placement.kernelAddress;
  const address = base - (kernel.base - kernel.loadAddress);
  const virtual = kaslr.by === 'guest' ? null : virtualAddress(kernel, virtualDelta);
  return { name, kind, bytes, address, base, virtualAddress: virtual, kaslr };
}

async function readLayout(run: GuestRun, memory: GuestMemory): Promise<MemoryLayout> {
  await run.openMonitor();
  const text = await run.askMonitor('info mtree -f');
  return MemoryLayout.parse(text, MEMORY_BACKEND, memory.bytes);
}
