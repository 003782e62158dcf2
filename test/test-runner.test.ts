import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../src/root.js';

const test = suite('the test runner');
const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const load = (name: string) => import(join(ROOT, 'scripts', name));

/** What the runner makes of a file that prints a report like uvu's, then does something. */
async function faultOf(report: string, then = '', maySkip = 0): Promise<string> {
  const path = join(folder, 'some.test.js');
  writeFileSync(path, `console.log(${JSON.stringify(report)});${then}`);
  const { testFile } = await load('test-process.mjs');
  const { fault } = await testFile(path, { cwd: ROOT, env: process.env, timeoutMs: 20_000, maySkip });
  return fault;
}

const report = (total: number, passed: number, skipped: number) =>
  `  Total:     ${total}\n  Passed:    ${passed}\n  Skipped:   ${skipped}\n  Duration:  1ms\n`;

test('a file passes when all of its tests did', async () => {
  assert.is(await faultOf(report(3, 3, 0)), '');
});

test('a file that exits 0 fails when it ran no test, or when tests did not report', async () => {
  assert.match(await faultOf(''), 'ran no test');
  assert.match(await faultOf(report(0, 0, 0)), 'ran no test');
  assert.match(await faultOf(report(3, 2, 0)), 'did not report');
});

test('a file that skips more tests than the list allows fails', async () => {
  assert.match(await faultOf(report(3, 3, 1)), 'skipped 1 tests');
  assert.is(await faultOf(report(3, 3, 1), '', 1), '');
  assert.match(await faultOf(report(3, 3, 2), '', 1), 'skipped 2 tests');
  assert.is(await faultOf(report(0, 0, 2), '', 2), '');
});

test('a file that leaves a process behind, or ends otherwise than with 0, fails', async () => {
  const leave = "require('child_process').spawn('sleep', ['60'], { stdio: 'ignore' }).unref()";
  assert.match(await faultOf(report(1, 1, 0), leave), 'left processes behind');
  assert.match(await faultOf(report(1, 1, 0), 'process.exitCode = 3'), 'exit code 3');
  assert.match(await faultOf(report(1, 1, 0), "process.kill(process.pid, 'SIGTERM')"), 'ended by SIGTERM');
});

test('the lists of files name files that are there', async () => {
  const { ALONE, MAY_SKIP, NOT_OF_NODE, ONLY_FULL } = await load('test-files.mjs');
  const files = readdirSync(join(ROOT, 'dist', 'test'));
  for (const list of [ALONE, MAY_SKIP, NOT_OF_NODE, ONLY_FULL]) {
    assert.ok(Object.keys(list).length > 0);
    for (const name of Object.keys(list)) assert.ok(files.includes(`${name}.test.js`), name);
  }
});

test.run();
