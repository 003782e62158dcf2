import { readFileSync } from 'node:fs';
import { type PreparedKernel, prepareKernel } from '../../hypervisor-shim/index.js';
import { FileCluster } from './file-cluster.js';
import { debianKernel } from './tiny-kernel.js';

let prepared: PreparedKernel | undefined;

/** Debian's kernel as segments (`linux`) and as it is (`bzimage`), and initrds that are none (`noise`, `nothing`). */
export async function kernelCluster(): Promise<FileCluster> {
  prepared ??= await prepareKernel(debianKernel());
  return new FileCluster()
    .add('linux', prepared.source, prepared.kind)
    .add('bzimage', readFileSync(debianKernel()))
    .add('noise', Buffer.alloc(3 << 20, 0x5a))
    .add('nothing', Buffer.alloc(0));
}
