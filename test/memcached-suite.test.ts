import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../src/native.js';

const test = suite("memcached's own suite");

const TIMEOUT_MS = 280_000;
/** The runner's exit code when the source cannot be fetched. */
const NO_SOURCE = 3;

test('every file of it that has something to say about a node passes', () => {
  const run = spawnSync(process.execPath, [join(ROOT, 'scripts', 'memcached-suite', 'run.mjs')], {
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
    maxBuffer: 64 * 1024 * 1024,
  });
  if (run.status === NO_SOURCE) {
    console.log(`skipped: ${run.stderr.trim()}`);
    return;
  }
  assert.is(run.status, 0, `${run.stdout.slice(-8000)}\n${run.stderr}`);
  assert.match(run.stdout, /^[3-9]\d passed, 0 failed$/m);
});

test.run();
