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

/** Blanks between the columns of a table. */
const COLUMN_GAP = 2;

/** A table for a person, without colours and lines; its cells are of one line. Takes time in proportion to its rows. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = lines.map((cells) => cells.map(displayWidth));
  const columns = head.map((_, column) => widths.reduce((most, row) => Math.max(most, row[column]!), 0));
  const formatCell = (cell: string, row: number, column: number) =>
    cell + ' '.repeat(columns[column]! - widths[row]![column]! + COLUMN_GAP);
  return lines
    .map((cells, row) =>
      cells
        .map((cell, column) => formatCell(cell, row, column))
        .join('')
        .trimEnd(),
    )
    .join('\n');
}

/** Letters of two places (Unicode's East Asian Width: wide, full-width), and what takes none. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1faff}\u{20000}-\u{3fffd}]/gu;
const WITHOUT_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/gu;

/** How many places of a terminal a text takes: letters of some scripts take two, marks above a letter none. */
function displayWidth(text: string): number {
  if (/^[\x20-\x7e\xa1-\xac\xae-\xff]*$/.test(text)) return text.length;
  return [...text.replace(WITHOUT_WIDTH, '').replace(WIDE, '--')].length;
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
