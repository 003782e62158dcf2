import { cpus, release, totalmem } from 'node:os';
import Table from 'cli-table3';
import { formatBytes } from '../../src/units.js';

/** One line of a bench's report: a figure, what it is held against from the same run, and the ratio. */
export interface Figure {
  what: string;
  figure: number;
  reference: number;
  unit: string;
  /** What the reference is. */
  against: string;
  /** Figure over reference. */
  ratio: number;
  /** What the ratio is to reach, as text such as `>= 0.9`. */
  target: string;
  /** Null when nothing was asked for. */
  reached: boolean | null;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A figure for which more is better: ratio = figure / reference, to be at least `least`. */
export function atLeast(
  what: string,
  figure: number,
  reference: number,
  least: number,
  unit: string,
  against: string,
): Figure {
  const ratio = figure / reference;
  return { what, figure, reference, unit, against, ratio, target: `>= ${least}`, reached: ratio >= least };
}

/** A figure for which less is better: ratio = figure / reference, to be at most `most`. */
export function atMost(
  what: string,
  figure: number,
  reference: number,
  most: number,
  unit: string,
  against: string,
): Figure {
  const ratio = figure / reference;
  return { what, figure, reference, unit, against, ratio, target: `<= ${most}`, reached: ratio <= most };
}

/** A figure that is held against a fixed bound. */
export function below(what: string, figure: number, bound: number, unit: string): Figure {
  return {
    what,
    figure,
    reference: 0,
    unit,
    against: '-',
    ratio: Number.NaN,
    target: `< ${bound}`,
    reached: figure < bound,
  };
}

/** A figure that is told without anything to hold it against. */
export function toTell(what: string, figure: number, unit: string): Figure {
  return { what, figure, reference: 0, unit, against: '-', ratio: Number.NaN, target: '-', reached: null };
}

export function machine(): string {
  const [first] = cpus();
  return `${cpus().length} × ${first?.model.trim()}, ${formatBytes(totalmem())}, Linux ${release()}, Node ${process.version}`;
}

const digits = (value: number): string =>
  Number.isNaN(value) ? '-' : value >= 100 ? value.toFixed(0) : value.toFixed(2);

export function printFigures(figures: readonly Figure[]): void {
  const table = new Table({
    head: ['what', 'Volley', 'reference', '', 'ratio', 'to reach', ''],
    colAligns: ['left', 'right', 'right', 'left', 'right', 'right', 'left'],
    style: { head: [], border: [] },
  });
  for (const line of figures) {
    table.push([
      line.what,
      `${digits(line.figure)} ${line.unit}`,
      line.reference ? `${digits(line.reference)} ${line.unit}` : '-',
      line.against,
      digits(line.ratio),
      line.target,
      line.reached === null ? '' : line.reached ? 'reached' : 'MISSED',
    ]);
  }
  process.stdout.write(`${table.toString()}\n`);
}
