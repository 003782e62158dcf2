import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { chooseAccelerator } from '../../hypervisor-shim/accelerator.js';
import { findExecutable, plainEnvironment } from '../../hypervisor-shim/executable.js';
import type { Accelerator } from '../../hypervisor-shim/machine.js';
import { DEFAULT_QEMU } from '../../hypervisor-shim/qemu.js';
import { VolleyError } from '../../src/errors.js';
import { ROOT } from '../../src/root.js';
import { writeInitrd } from './initrd.js';
import { readModules } from './modules.js';
import { ERR_FD, OUT_FD, type VmLimits, VmProcess } from './vm-process.js';

/** What the VM needs; what these depend on comes by itself. rdma_rxe asks for crc32 by its algorithm's name only. */
const MODULES = [
  ...['virtio_pci', 'virtio_console', '9p', '9pnet_virtio', 'overlay', 'virtio_net'],
  ...['crc32_generic', 'ib_uverbs', 'rdma_rxe', 'rdma_ucm'],
];
const KERNEL_FOLDER = join(ROOT, '.cache', 'verbs-kernel');
const MIB = 1 << 20;
const DEFAULT_MEMORY_BYTES = 2048 * MIB;

export interface VmOptions extends VmLimits {
  /** Program and arguments, as on the host. */
  command: readonly string[];
  /** Get what the command writes, as it comes. They are not closed. */
  stdout: Writable;
  stderr: Writable;
  /** Default: this process' own. */
  folder?: string;
  /** Default 2 GiB. */
  memoryBytes?: number;
  /** Kernel modules to load besides those for rxe0. */
  modules?: readonly string[];
}

export interface VmReport {
  /** The command's exit code; 128 + n when signal n ended it. */
  code: number;
  accelerator: Accelerator;
  /** From QEMU's start to the command's. */
  bootMs: number;
  /** From QEMU's start to its end. */
  totalMs: number;
  /** Of that, what QEMU waited for processors of the host that others used. */
  waitedMs: number;
  /** What the guest's kernel said while the command ran. */
  log: string[];
}

/**
 * Runs a command in a VM that has a Soft-RoCE device rxe0 (on eth0, 10.0.2.15) and sees this host's files; what it
 * writes to them is gone with the VM. When this settles, QEMU is gone.
 * @throws VmError ERR_VOLLEY_GUEST, _TIMEOUT, _ABORTED; VolleyError ERR_VOLLEY_QEMU, _SETUP
 */
export async function runInVm(options: VmOptions): Promise<VmReport> {
  const qemu = findExecutable(DEFAULT_QEMU);
  if (!qemu) throw new VolleyError('ERR_VOLLEY_QEMU', `${DEFAULT_QEMU} is not installed; run: npm run setup`);
  const { accelerator } = await chooseAccelerator('auto', qemu);
  const kernel = findKernel();
  const modules = await readModules(kernel.modules, [...MODULES, ...(options.modules ?? [])]);
  const nonce = randomBytes(16).toString('hex');
  const initrd = await writeInitrd({ modules, command: script(options), nonce });
  try {
    const memoryBytes = options.memoryBytes ?? DEFAULT_MEMORY_BYTES;
    const initrdPath = `/proc/${process.pid}/fd/${initrd.fd}`;
    const args = vmArguments({ accelerator, memoryBytes, kernelPath: kernel.image, initrdPath });
    const vm = new VmProcess(qemu, args, options);
    let waitedMs = 0;
    const code = await vm
      .commandCode(options.stdout, options.stderr, nonce)
      .then((ended) => {
        waitedMs = vm.waitedMs;
        return ended;
      })
      .finally(() => vm.stop());
    return {
      code,
      waitedMs,
      accelerator,
      bootMs: vm.bootMs ?? vm.elapsedMs,
      totalMs: vm.elapsedMs,
      log: vm.logSinceCommand,
    };
  } finally {
    await initrd.close();
  }
}

/** The stock kernel that scripts/setup unpacks. */
function findKernel(): { image: string; modules: string } {
  const boot = join(KERNEL_FOLDER, 'boot');
  const name = existsSync(boot) ? readdirSync(boot).find((file) => file.startsWith('vmlinuz-')) : undefined;
  if (!name) {
    throw new VolleyError(
      'ERR_VOLLEY_SETUP',
      `no kernel for the VM in ${KERNEL_FOLDER}; run: scripts/setup --tests`,
    );
  }
  const version = name.slice('vmlinuz-'.length);
  return { image: join(boot, name), modules: join(KERNEL_FOLDER, 'lib', 'modules', version) };
}

/** The command as a script for /bin/sh, in the folder and with the environment that it would have here. */
function script({ command, folder = process.cwd() }: VmOptions): string {
  const environment = Object.entries(plainEnvironment()).filter(([, value]) => value !== undefined);
  return [
    ...environment.map(([name, value]) => `export ${name}=${quoted(value!)}`),
    `cd ${quoted(folder)} || exit 126`,
    `exec ${command.map(quoted).join(' ')}`,
  ].join('\n');
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

interface VmMachine {
  accelerator: Accelerator;
  memoryBytes: number;
  kernelPath: string;
  initrdPath: string;
}

/**
 * Under TCG the CPU stays QEMU's plainest: a richer one has `rep movsb` called fast, which emulated costs Soft-RoCE half
 * its bandwidth.
 */
function vmArguments({ accelerator, memoryBytes, kernelPath, initrdPath }: VmMachine): string[] {
  const share = 'local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap';
  return [
    ...['-machine', 'q35', '-smp', '2', '-m', `${Math.ceil(memoryBytes / MIB)}M`],
    ...(accelerator === 'kvm' ? ['-accel', 'kvm', '-cpu', 'host'] : ['-accel', 'tcg,thread=multi']),
    ...['-display', 'none', '-nodefaults', '-no-user-config', '-no-reboot'],
    ...['-kernel', kernelPath, '-initrd', initrdPath, '-append', 'console=ttyS0 panic=-1 mitigations=off'],
    ...['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
    ...['-device', 'virtio-serial-pci'],
    ...['-chardev', `socket,id=out,fd=${OUT_FD}`, '-device', 'virtserialport,chardev=out,name=volley.out'],
    ...['-chardev', `socket,id=err,fd=${ERR_FD}`, '-device', 'virtserialport,chardev=err,name=volley.err'],
    ...['-virtfs', share],
    ...['-netdev', 'user,id=net,restrict=on', '-device', 'virtio-net-pci,netdev=net,romfile='],
  ];
}
