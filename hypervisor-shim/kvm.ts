import { execFile } from 'node:child_process';
import { access, constants, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../src/root.js';
import { findExecutable, plainEnvironment, tiedToThisProcess, whyNotFound } from './executable.js';
import { DEFAULT_QEMU } from './qemu.js';

export interface KvmProbe {
  usable: boolean;
  /** Why, in words for a person. */
  reason: string;
}

/** What the probe looks at; the defaults are this machine. */
export interface KvmProbeOptions {
  qemu?: string;
  cpuinfo?: string;
  modules?: string;
  device?: string;
  accelerator?: string;
}

/** How long the tiny guest may take: it needs a few milliseconds, QEMU's own start some tens. */
const GUEST_TIMEOUT_MS = 500;
/** What build/probe.bin makes QEMU exit with when it got through to long mode. */
const GUEST_EXIT_CODE = 99;

/**
 * Whether KVM really runs guests here. /dev/kvm alone says little: under some nested hypervisors it is there and a guest
 * never starts. So the processor must show the feature, the module for it must be loaded, and a tiny guest must run.
 */
export async function probeKvm(options: KvmProbeOptions = {}): Promise<KvmProbe> {
  const device = options.device ?? '/dev/kvm';
  const no = (reason: string): KvmProbe => ({ usable: false, reason });
  if (!(await isAccessible(device, constants.F_OK))) return no(`${device} is not there`);
  if (!(await isAccessible(device, constants.R_OK | constants.W_OK))) {
    return no(`${device} may not be opened; join its group (kvm)`);
  }
  const cpuinfo = await readFile(options.cpuinfo ?? '/proc/cpuinfo', 'utf8').catch(() => '');
  if (!/^flags\s*:.*\b(vmx|svm)\b/m.test(cpuinfo)) {
    return no(
      'the processor shows neither vmx nor svm: no hardware virtualization, or a nested hypervisor hides it',
    );
  }
  const modules = options.modules ?? '/sys/module';
  const loaded = await Promise.all(
    ['kvm_intel', 'kvm_amd'].map((m) => isAccessible(join(modules, m), constants.F_OK)),
  );
  if (!loaded.includes(true)) return no('neither kvm_intel nor kvm_amd is loaded');
  return runTinyGuest(options.qemu ?? DEFAULT_QEMU, options.accelerator ?? 'kvm');
}

/** Boots build/probe.bin as firmware: long mode, then one write that makes QEMU exit with a known code. */
function runTinyGuest(qemu: string, accelerator: string): Promise<KvmProbe> {
  const path = findExecutable(qemu);
  if (!path) return Promise.resolve({ usable: false, reason: `${qemu} ${whyNotFound(qemu)}` });
  const [command, args] = tiedToThisProcess(path, [
    ...[
      '-machine',
      'q35',
      '-accel',
      accelerator,
      '-m',
      '16M',
      '-display',
      'none',
      '-nodefaults',
      '-no-user-config',
    ],
    ...['-no-reboot', '-bios', join(ROOT, 'build', 'probe.bin')],
    ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=4'],
  ]);
  const limits = { timeout: GUEST_TIMEOUT_MS, killSignal: 'SIGKILL', env: plainEnvironment() } as const;
  return new Promise((resolve) => {
    execFile(command, args, limits, (error, _stdout, stderr) => {
      if (error?.code === GUEST_EXIT_CODE) return resolve({ usable: true, reason: 'a tiny guest ran' });
      if (error?.killed) {
        return resolve({ usable: false, reason: `a tiny guest did not run within ${GUEST_TIMEOUT_MS} ms` });
      }
      const words = stderr.trim().split('\n')[0] || `exit code ${error?.code ?? 0}`;
      return resolve({ usable: false, reason: `a tiny guest did not run (${words})` });
    });
  });
}

async function isAccessible(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
