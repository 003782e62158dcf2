import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatTable } from '../bin/output.js';

const test = suite('tables');

/** Processor time in microseconds that a table of so many rows takes. */
function costOf(count: number): number {
  const rows = Array.from({ length: count }, (_, i) => [`image${i}`, `${i} B`, '1 × 32 KiB', 'raw']);
  const before = process.cpuUsage();
  assert.is(formatTable(['NAME', 'SIZE', 'CHUNKS', 'KIND'], rows).split('\n').length, count + 1);
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

test('columns stand below each other, also behind names of wide letters and of marks', () => {
  const rows = [
    ['a', '1 B'],
    ['古古', '22 B'],
    ['e\u0301toile', ''],
  ];
  assert.equal(formatTable(['NAME', 'SIZE'], rows).split('\n'), [
    'NAME    SIZE',
    'a       1 B',
    '古古    22 B',
    'e\u0301toile',
  ]);
  assert.is(formatTable(['A'], []), 'A');
});

test('the cost of a table grows with its rows, not with their square', () => {
  costOf(5000);
  const ratios = Array.from({ length: 5 }, () => costOf(40_000) / costOf(5000));
  assert.ok(Math.min(...ratios) < 24, `8 times the rows: ${ratios.map((ratio) => ratio.toFixed(1))}`);
});

test.run();
