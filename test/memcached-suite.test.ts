import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../src/root.js';

const test = suite("memcached's own suite");

const TIMEOUT_MS = 280_000;
/** The runner's exit code when the source cannot be fetched. */
const NO_SOURCE = 3;

/** What the runner prints, or null where the source cannot be fetched; in CI that is a failure. */
function runSuite(...args: string[]): string | null {
  const run = spawnSync(process.execPath, [join(ROOT, 'scripts', 'memcached-suite', 'run.mjs'), ...args], {
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
    maxBuffer: 64 * 1024 * 1024,
  });
  if (run.status === NO_SOURCE && !process.env.CI) {
    console.log(`skipped: ${run.stderr.trim()}`);
    return null;
  }
  assert.is(run.status, 0, `${run.stdout.slice(-8000)}\n${run.stderr}`);
  return run.stdout;
}

test('every file of it that has something to say about a node passes', () => {
  const output = runSuite();
  if (output !== null) assert.match(output, /^[3-9]\d passed, 0 failed$/m);
});

test('docs/compatibility.md tells of each file what the runner makes of it', () => {
  const table = runSuite('--table')!;
  const page = readFileSync(join(ROOT, 'docs', 'compatibility.md'), 'utf8');
  assert.ok(page.includes(table), 'print the table with --table, and put it there');
});

test.run();
