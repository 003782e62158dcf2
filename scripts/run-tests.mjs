// Runs every compiled test file in a process of its own and adds up what uvu reports.
//
//   node scripts/run-tests.mjs [--full] [--any-node] [--asan] [--show] [WORD…]     only files whose name holds one of the words
//
//   --full      also the files, and the durations, that are for releases
//   --any-node  not the files in which the version of Node makes no difference
//   --asan      with the addon that is built with AddressSanitizer and UBSan
//   --show      what passing files print, too
//
// Which files run when, which of them side by side, and what may be skipped: scripts/test-files.mjs.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ALONE, FULL_DURATIONS, MAY_SKIP, NOT_OF_NODE, ONLY_FULL } from './test-files.mjs';
import { testFile } from './test-process.mjs';

/** Files that run at a time, of those that may. */
const SIDE_BY_SIDE = 2;
const OPTIONS = ['--full', '--any-node', '--asan', '--show'];
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'dist', 'test');
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const options = new Set(process.argv.slice(2).filter((word) => word.startsWith('--')));
const FILE_TIMEOUT_MS = options.has('--full') ? 900_000 : 300_000;
for (const option of options) {
  if (OPTIONS.includes(option)) continue;
  console.error(`there is no option ${option}; there are ${OPTIONS.join(', ')}`);
  process.exit(2);
}

function environment() {
  const plain = { ...(options.has('--full') ? FULL_DURATIONS : {}), ...process.env };
  if (!options.has('--asan')) return plain;
  const library = execFileSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
  return {
    ...plain,
    VOLLEY_ADDON: 'debug',
    LD_PRELOAD: library,
    // Node itself never frees what lives as long as the process.
    ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1',
    UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  };
}

/** Words choose from all files: who names one wants it. */
function isChosen(name) {
  if (words.length > 0) return words.some((word) => name.includes(word));
  if (options.has('--any-node') && name in NOT_OF_NODE) return false;
  return options.has('--full') || !(name in ONLY_FULL);
}

const names = readdirSync(folder)
  .filter((name) => name.endsWith('.test.js'))
  .map((name) => name.replace('.test.js', ''))
  .sort();
const chosen = names.filter(isChosen);
const env = environment();
const sum = { passed: 0, failed: 0, skipped: 0 };

/** Where nothing else is at stake, a test may be skipped for any reason; in CI for those of the list alone. */
function maySkip(name) {
  return process.env.CI ? (MAY_SKIP[name]?.tests ?? 0) : Number.POSITIVE_INFINITY;
}

async function runOne(name) {
  const limits = { timeoutMs: FILE_TIMEOUT_MS, maySkip: maySkip(name) };
  const verdict = await testFile(join(folder, `${name}.test.js`), { cwd: root, env, ...limits });
  for (const key of Object.keys(sum)) sum[key] += verdict[key];
  if (verdict.fault) console.log(`${verdict.output}\nFAILED ${name}: ${verdict.fault}`);
  else if (options.has('--show')) console.log(verdict.output);
  if (verdict.fault) return;
  const skipped = verdict.skipped ? `, ${verdict.skipped} skipped` : '';
  console.log(`ok ${name}: ${verdict.passed} tests, ${verdict.seconds.toFixed(1)} s${skipped}`);
}

/** Runs the files, so many at a time. */
async function runAll(files, atATime) {
  const waiting = [...files];
  const lane = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await runOne(name);
  };
  await Promise.all(Array.from({ length: atATime }, lane));
}

const began = performance.now();
const isAlone = (name) => name in ALONE;
await runAll(
  chosen.filter((name) => !isAlone(name)),
  SIDE_BY_SIDE,
);
await runAll(chosen.filter(isAlone), 1);
if (chosen.length === 0) sum.failed = 1;
console.log(`${chosen.length} files in ${((performance.now() - began) / 1000).toFixed(0)} s`);
console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped ? `, ${sum.skipped} skipped` : ''}`);
process.exit(sum.failed === 0 ? 0 : 1);
