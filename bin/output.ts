import { createRequire } from 'node:module';
import type { NodeLoadReport } from '../client/index.js';
import { formatBytes } from '../src/units.js';

/** Loads a package when it is wanted: most runs draw neither table nor progress bar, and all would wait for both. */
const load = createRequire(import.meta.url);

/** Prints the command's one JSON document. */
export function printJson(document: object): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

/** Prints lines for a person. */
export function printLines(...lines: string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** What a load did at one node, as a line for a person. */
export function describeNodeLoad(node: NodeLoadReport): string {
  const { name, chunks, fallbackChunks, fallbackReason, transport, transportReason } = node;
  const fallback = fallbackChunks > 0 ? `, ${fallbackChunks} of them over tcp: ${fallbackReason}` : '';
  return `  ${name}: ${chunks} chunks, ${transport} (${transportReason})${fallback}`;
}

/** A table for a person, without colours and with few lines. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const Table = load('cli-table3') as typeof import('cli-table3');
  const table = new Table({
    head: [...head],
    style: { head: [], border: [], compact: true, 'padding-left': 0, 'padding-right': 2 },
    chars: {
      ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '' },
      ...{ 'bottom-left': '', 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '' },
      ...{ right: '', 'right-mid': '', middle: '' },
    },
  });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** Shows how far a transfer is. */
export interface Progress {
  update(bytes: number, totalBytes: number | null): void;
  stop(): void;
}

/** A progress bar on stderr; nothing when stderr is no terminal or `quiet` is set. */
export function startProgress(label: string, quiet: boolean): Progress {
  if (quiet || !process.stderr.isTTY) return { update() {}, stop() {} };
  const { SingleBar } = load('cli-progress') as typeof import('cli-progress');
  const bar = new SingleBar({
    format: `${label} {bar} {percentage} % {size} of {total_size}`,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    gracefulExit: false,
  });
  bar.start(1, 0, { size: formatBytes(0), total_size: '?' });
  return {
    update(bytes, totalBytes) {
      if (totalBytes !== null) bar.setTotal(Math.max(1, totalBytes));
      const total = totalBytes === null ? '?' : formatBytes(totalBytes);
      bar.update(totalBytes === null ? 0 : bytes, { size: formatBytes(bytes), total_size: total });
    },
    stop: () => bar.stop(),
  };
}
