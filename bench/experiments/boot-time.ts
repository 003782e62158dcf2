import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster } from '../../client/index.js';
import { boot, bootDirect, prepareKernel } from '../../hypervisor-shim/index.js';
import { ROOT } from '../../src/root.js';
import { atMost, type Figure, median } from '../support/figures.js';
import { USERSPACE_MARKER, writeGuestInitrd } from '../support/guest-initrd.js';
import { type Server, startNode } from '../support/servers.js';

const PAYLOAD_BYTES = 64 << 20;
const NODES = 3;
const ROUNDS = 7;
const GUEST = { until: USERSPACE_MARKER, timeoutMs: 60_000 };

interface Boots {
  volley: number[];
  qemu: number[];
}

/** Milliseconds from QEMU's start to userspace; the two kinds take turns, after one of each to warm up. */
async function measure(cluster: Cluster, kernelFile: string, initrdFile: string): Promise<Boots> {
  const boots: Boots = { volley: [], qemu: [] };
  for (let round = 0; round <= ROUNDS; round++) {
    const volley = await boot({ cluster, kernel: 'linux', initrd: 'initrd', ...GUEST });
    const qemu = await bootDirect({ kernelFile, initrdFile, ...GUEST });
    if (round === 0) continue;
    boots.volley.push(volley.points.userspace!.sinceSpawn!);
    boots.qemu.push(qemu.points.userspace!.sinceSpawn!);
  }
  return boots;
}

/** Guest time from QEMU's start to userspace over `local`, beside QEMU's own -kernel and -initrd of the same files. */
export async function bootTime(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'volley-bench-'));
  const kernels = join(ROOT, '.cache', 'kernel', 'boot');
  const kernelFile = join(kernels, readdirSync(kernels).find((name) => name.startsWith('vmlinuz-'))!);
  const servers: Server[] = [];
  try {
    const initrdFile = join(folder, 'initrd.cpio');
    await writeGuestInitrd(initrdFile, PAYLOAD_BYTES);
    for (let i = 0; i < NODES; i++) servers.push(await startNode('192M'));
    const cluster = await Cluster.connect({ nodes: servers.map(({ name }) => name) });
    const { source, kind } = await prepareKernel(kernelFile);
    await cluster.upload(source, { name: 'linux', kind });
    await cluster.upload(initrdFile, { name: 'initrd' });
    const { volley, qemu } = await measure(cluster, kernelFile, initrdFile);
    await cluster.close();
    const what = 'boot to userspace, local, 64 MiB payload';
    return [atMost(what, median(volley), median(qemu), 0.95, 'ms', 'QEMU -kernel -initrd, same files')];
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
    rmSync(folder, { recursive: true, force: true });
  }
}
