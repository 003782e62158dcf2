import { readFile } from 'node:fs/promises';
import { formatBytes } from '../../src/units.js';
import { type Check, good, limited } from './check.js';

const KIB = 1024;
const CAP_IPC_LOCK = 14n;
/** What a fabric has to lock to be of use: less than this holds hardly an image. */
const MEMLOCK_WANTED = 1024 ** 3;

/** How much memory a process may lock: RDMA registers (locks) what it transfers from and to. */
export async function checkMemlock(): Promise<Check> {
  if (await mayLockAll()) return good('locked memory', 'unlimited for this user (CAP_IPC_LOCK)');
  const limits = await readFile('/proc/self/limits', 'latin1');
  const limit = /^Max locked memory\s+(\S+)/m.exec(limits)?.[1] ?? '0';
  if (limit === 'unlimited') return good('locked memory', 'unlimited');
  const bytes = Number(limit);
  if (bytes >= MEMLOCK_WANTED) return good('locked memory', `up to ${formatBytes(bytes)}`);
  const help = 'ulimit -l unlimited, or LimitMEMLOCK=infinity in a systemd unit';
  const detail = `limited to ${Math.floor(bytes / KIB)} kB, RDMA needs as much as a node or guest has (say ${formatBytes(MEMLOCK_WANTED)})`;
  return limited('locked memory', detail, help);
}

/** Whether the kernel looks at no limit: of who has CAP_IPC_LOCK, as root has. */
async function mayLockAll(): Promise<boolean> {
  const status = await readFile('/proc/self/status', 'latin1');
  const effective = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  return ((effective >> CAP_IPC_LOCK) & 1n) === 1n;
}

/** Hugepages that regions and guest memory can have. */
export async function checkHugepages(): Promise<Check> {
  const info = await readFile('/proc/meminfo', 'latin1');
  const number = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  const total = number('HugePages_Total');
  const free = number('HugePages_Free');
  const page = `${number('Hugepagesize') / KIB} MiB`;
  const shmem = await sharedMemoryThp();
  const detail = `${free} of ${total} pages of ${page} free; transparent for shared memory: ${shmem}`;
  if (free > 0) return good('hugepages', detail);
  return limited('hugepages', detail, 'sysctl vm.nr_hugepages=512 (of 2 MiB each: 1 GiB)');
}

async function sharedMemoryThp(): Promise<string> {
  const path = '/sys/kernel/mm/transparent_hugepage/shmem_enabled';
  const modes = await readFile(path, 'latin1').catch(() => '');
  return /\[(\w+)\]/.exec(modes)?.[1] ?? 'not known';
}
