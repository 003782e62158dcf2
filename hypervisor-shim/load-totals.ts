import type { LoadReport, NodeLoadReport } from '../client/index.js';

/** Several loads of one boot, added up. */
export interface LoadTotals {
  bytes: number;
  chunks: number;
  zeroChunks: number;
  sharedChunks: number;
  /** Time spent loading; the loads run one after the other. */
  seconds: number;
  gbPerSecond: number;
  retries: number;
  checksumFailures: number;
  readMs: number;
  verifyMs: number;
  nodes: NodeLoadReport[];
}

export function totalOf(loads: readonly LoadReport[]): LoadTotals {
  const sum = (pick: (load: LoadReport) => number) => loads.reduce((total, load) => total + pick(load), 0);
  const bytes = sum((load) => load.bytes);
  const seconds = sum((load) => load.seconds);
  return {
    bytes,
    chunks: sum((load) => load.chunks),
    zeroChunks: sum((load) => load.zeroChunks),
    sharedChunks: sum((load) => load.sharedChunks),
    seconds,
    gbPerSecond: seconds > 0 ? bytes / seconds / 1e9 : 0,
    retries: sum((load) => load.retries),
    checksumFailures: sum((load) => load.checksumFailures),
    readMs: sum((load) => load.stages.readMs),
    verifyMs: sum((load) => load.stages.verifyMs),
    nodes: mergeNodes(loads.flatMap((load) => load.nodes)),
  };
}

function mergeNodes(reports: readonly NodeLoadReport[]): NodeLoadReport[] {
  const byName = new Map<string, NodeLoadReport>();
  for (const report of reports) {
    const known = byName.get(report.name);
    if (!known) {
      byName.set(report.name, { ...report });
      continue;
    }
    known.chunks += report.chunks;
    known.bytes += report.bytes;
    known.retries += report.retries;
    known.checksumFailures += report.checksumFailures;
    known.fallbackChunks += report.fallbackChunks;
    known.window = Math.max(known.window, report.window);
    known.fallbackReason ||= report.fallbackReason;
  }
  return [...byName.values()];
}
