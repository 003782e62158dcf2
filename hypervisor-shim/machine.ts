import { VolleyError } from '../src/errors.js';
import { formatBytes } from '../src/units.js';
import { MONITOR_FD } from './qemu.js';

export type Accelerator = 'kvm' | 'tcg';

/** The machine that a guest runs on, the same whether Volley or QEMU itself fills its RAM. */
export interface Machine {
  accelerator: Accelerator;
  /** A multiple of MEMORY_UNIT. */
  memoryBytes: number;
  cpus: number;
}

export const DEFAULT_MEMORY_BYTES = 512 << 20;
/** Guest memory comes in whole pages, also when those are 2 MiB. */
export const MEMORY_UNIT = 2 << 20;
const MEMORY_BYTES_MIN = 32 << 20;
const MEMORY_BYTES_MAX = 2 ** 42;
const CPUS_MAX = 255;
/** Serial console, and an end instead of a standstill when the kernel panics. */
export const DEFAULT_CMDLINE = 'console=ttyS0 panic=-1';
const MIB = 1 << 20;
const BACKEND = 'ram0';

/** The id under which the memory backend shows in QEMU's memory map. */
export const MEMORY_BACKEND = BACKEND;

/** Checks and rounds what a user asks for. @throws VolleyError ERR_VOLLEY_USAGE */
export function checkMachine(memoryBytes: number, cpus: number): { memoryBytes: number; cpus: number } {
  if (!(memoryBytes >= MEMORY_BYTES_MIN && memoryBytes <= MEMORY_BYTES_MAX)) {
    const limits = `from ${formatBytes(MEMORY_BYTES_MIN)} to ${formatBytes(MEMORY_BYTES_MAX)}`;
    throw new VolleyError(
      'ERR_VOLLEY_USAGE',
      `guest memory of ${memoryBytes} bytes is out of range; give ${limits}`,
    );
  }
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > CPUS_MAX) {
    throw new VolleyError('ERR_VOLLEY_USAGE', `${cpus} CPUs are out of range; give 1 to ${CPUS_MAX}`);
  }
  return { memoryBytes: Math.ceil(memoryBytes / MEMORY_UNIT) * MEMORY_UNIT, cpus };
}

/** @throws VolleyError ERR_VOLLEY_USAGE when the kernel would not take this command line */
export function checkCmdline(cmdline: string, bytesMax: number): void {
  const bytes = Buffer.byteLength(cmdline);
  if (/[\0\n]/.test(cmdline) || bytes > bytesMax) {
    const rule = `one line of at most ${bytesMax} bytes`;
    throw new VolleyError(
      'ERR_VOLLEY_USAGE',
      `the kernel's command line must be ${rule}, this one has ${bytes}`,
    );
  }
}

/**
 * QEMU's arguments for the machine.
 * @param memoryPath a file that is to be the guest's RAM, shared; without it QEMU makes its own
 */
export function machineArguments(machine: Machine, memoryPath?: string): string[] {
  const backend = `memory-backend-file,id=${BACKEND},size=${machine.memoryBytes},mem-path=${memoryPath},share=on,align=2M`;
  return [
    ...['-machine', memoryPath ? `q35,memory-backend=${BACKEND}` : 'q35'],
    ...(memoryPath ? ['-object', backend] : []),
    ...['-m', `${machine.memoryBytes / MIB}M`],
    ...['-smp', String(machine.cpus)],
    ...['-accel', machine.accelerator],
    ...(machine.accelerator === 'kvm' ? ['-cpu', 'host'] : []),
    ...['-display', 'none', '-nodefaults', '-no-user-config', '-no-reboot'],
    ...['-chardev', 'stdio,id=serial,signal=off', '-serial', 'chardev:serial'],
    ...['-chardev', `socket,id=monitor,fd=${MONITOR_FD}`, '-mon', 'chardev=monitor,mode=control'],
  ];
}
