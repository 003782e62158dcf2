import { Cluster } from '../../client/index.js';
import { type BootReport, boot, bootDirect, type DirectBootReport } from '../../hypervisor-shim/index.js';
import { VolleyError } from '../../src/errors.js';
import { DONE_MARKER, digestIn, type GuestInitrd, USERSPACE_MARKER } from '../support/guest-initrd.js';
import { MeteredCluster } from './metered-cluster.js';

const TIMEOUT_MS = 60_000;
const GUEST = { until: DONE_MARKER, userspace: USERSPACE_MARKER, timeoutMs: TIMEOUT_MS };

export interface VolleyBoot {
  report: BootReport;
  /** Processor seconds that each node spent while chunks were read. */
  nodeSeconds: Map<string, number>;
}

/**
 * Connects to the nodes and boots the images `linux` and `initrd`.
 * @throws VolleyError ERR_VOLLEY_GUEST when the guest saw another payload than was uploaded, and what boot() throws
 */
export async function bootByVolley(
  nodes: string[],
  initrd: GuestInitrd,
  signal: AbortSignal,
): Promise<VolleyBoot> {
  const startedAt = performance.now();
  const cluster = await Cluster.connect({ nodes, signal });
  try {
    const metered = new MeteredCluster(cluster);
    const images = { cluster: metered, kernel: 'linux', initrd: 'initrd' };
    const report = await boot({ ...images, ...GUEST, signal, startedAt });
    const seen = digestIn(report.lastLines);
    if (seen !== initrd.payloadSha256) {
      const text = `the guest saw a payload of sha256 ${seen ?? '?'}, uploaded was ${initrd.payloadSha256}`;
      throw new VolleyError('ERR_VOLLEY_GUEST', text);
    }
    return { report, nodeSeconds: metered.spent() };
  } finally {
    await cluster.close();
  }
}

/** The same boot by QEMU's own -kernel and -initrd. */
export function bootByQemu(
  kernelFile: string,
  initrdFile: string,
  signal: AbortSignal,
): Promise<DirectBootReport> {
  return bootDirect({ kernelFile, initrdFile, ...GUEST, signal });
}
