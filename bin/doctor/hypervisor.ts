import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findExecutable } from '../../hypervisor-shim/executable.js';
import { probeKvm } from '../../hypervisor-shim/kvm.js';
import { DEFAULT_QEMU } from '../../hypervisor-shim/qemu.js';
import { type Check, good, limited, missing } from './check.js';

const VERSION_TIMEOUT_MS = 5000;
const UNPACK_TOOLS = [
  { command: 'xz', packageName: 'xz-utils' },
  { command: 'lz4', packageName: 'lz4' },
  { command: 'zstd', packageName: 'zstd' },
];

/** Whether QEMU is there, and which. */
export async function checkQemu(): Promise<Check> {
  const path = findExecutable(DEFAULT_QEMU);
  if (!path) return missing('qemu', `${DEFAULT_QEMU} is not installed`, 'apt-get install qemu-system-x86');
  const run = promisify(execFile)(path, ['--version'], { timeout: VERSION_TIMEOUT_MS });
  const text = await run.then(
    ({ stdout }) => stdout.split('\n')[0]!,
    (error: Error) => `does not run: ${error.message.split('\n')[0]}`,
  );
  return good('qemu', `${path}, ${text}`);
}

/** Whether KVM really runs a guest. */
export async function checkKvm(): Promise<Check> {
  const { usable, reason } = await probeKvm();
  if (usable) return good('kvm', reason);
  const help = 'guests run in emulation (TCG) meanwhile; take a host or a VM with hardware virtualization';
  return limited('kvm', reason, help);
}

/** The tools that unpack kernels when they are uploaded. */
export function checkUnpackTools(): Check {
  const absent = UNPACK_TOOLS.filter(({ command }) => !findExecutable(command));
  if (absent.length === 0) return good('unpack tools', 'xz, lz4 and zstd are there');
  const names = absent.map(({ command }) => command).join(', ');
  const packages = absent.map(({ packageName }) => packageName).join(' ');
  return limited(
    'unpack tools',
    `no ${names}: kernels packed so cannot be unpacked`,
    `apt-get install ${packages}`,
  );
}
