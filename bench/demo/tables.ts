import Table from 'cli-table3';
import type { BootPoint, DirectBootReport, PointTimes } from '../../hypervisor-shim/index.js';
import { formatBytes, formatMs } from '../../src/units.js';
import type { VolleyBoot } from './boot-pair.js';

type Points = Partial<Record<BootPoint, PointTimes>>;

const MOMENTS: [BootPoint, string][] = [
  ['loaded', 'kernel and initrd in guest memory'],
  ['doorbell', 'doorbell'],
  ['kernel', 'first kernel line'],
  ['userspace', 'userspace'],
  ['until', 'payload checked by the guest'],
];

const QUIET = { head: [], border: [], compact: true };

/** The stages of a boot by Volley, with QEMU's own beside them. */
export function stageTable({ report }: VolleyBoot, direct: DirectBootReport): string {
  const table = new Table({
    head: ['stage', 'Volley', 'QEMU -kernel -initrd'],
    colAligns: ['left', 'right', 'right'],
    style: QUIET,
  });
  const { connectMs, tablesMs, readMs, verifyMs } = report.stages;
  const durations = { connect: connectMs, tables: tablesMs, read: readMs, verify: verifyMs };
  for (const [name, ms] of Object.entries(durations)) table.push([name, formatMs(ms), '']);
  table.push([{ colSpan: 3, content: 'since QEMU was started' }]);
  for (const [point, name] of MOMENTS) {
    table.push([name, sinceSpawn(report.points, point), sinceSpawn(direct.points, point)]);
  }
  return table.toString();
}

/** What each node gave, over which transport and why, and what it cost the node. */
export function nodeTable({ report, nodeSeconds }: VolleyBoot): string {
  const table = new Table({
    head: ['node', 'chunks', 'share', 'bytes', 'CPU while read', 'transport'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'left'],
    style: QUIET,
  });
  const { nodes } = report.totals;
  const all = nodes.reduce((sum, node) => sum + node.chunks, 0);
  for (const { name, chunks, bytes, transport, transportReason } of nodes) {
    const share = `${((100 * chunks) / all).toFixed(1)} %`;
    const seconds = `${(nodeSeconds.get(name) ?? 0).toFixed(3)} s`;
    table.push([name, chunks, share, formatBytes(bytes), seconds, `${transport}: ${transportReason}`]);
  }
  return table.toString();
}

/** One line on what was moved. */
export function movedLine({ report }: VolleyBoot): string {
  const { bytes, chunks, zeroChunks, sharedChunks, seconds, gbPerSecond, retries, checksumFailures } =
    report.totals;
  const kinds = `${zeroChunks} zeros, ${sharedChunks} shared`;
  const trouble = `${retries} repeated reads, ${checksumFailures} wrong checksums`;
  const speed = `${formatMs(seconds * 1000)}: ${gbPerSecond.toFixed(2)} GB/s`;
  return `${formatBytes(bytes)} in ${chunks} chunks (${kinds}) in ${speed}; ${trouble}`;
}

function sinceSpawn(points: Points, point: BootPoint): string {
  const ms = points[point]?.sinceSpawn;
  return ms === undefined || ms === null ? '' : formatMs(ms);
}
