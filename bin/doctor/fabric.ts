import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { type Check, good, limited } from './check.js';

const LDCONFIG = '/sbin/ldconfig';
const LDCONFIG_TIMEOUT_MS = 5000;
const DEVICES = '/sys/class/infiniband';

/** Whether libfabric can be loaded. */
export async function checkLibfabric(): Promise<Check> {
  const run = promisify(execFile)(LDCONFIG, ['-p'], { timeout: LDCONFIG_TIMEOUT_MS, maxBuffer: 16 << 20 });
  const libraries = await run.then(
    ({ stdout }) => stdout,
    () => '',
  );
  const path = /^\s*libfabric\.so\.1 .*=> (\S+)$/m.exec(libraries)?.[1];
  if (path) return good('libfabric', path);
  return limited('libfabric', 'not installed', 'apt-get install libfabric1');
}

/** The host's RDMA devices. */
export async function checkRdmaDevices(): Promise<Check> {
  const devices = await readdir(DEVICES).catch(() => []);
  if (devices.length > 0) return good('rdma devices', devices.join(', '));
  const help =
    'with a RoCE or InfiniBand card: apt-get install rdma-core; without: rdma link add rxe0 type rxe netdev IF';
  return limited('rdma devices', 'none', help);
}
