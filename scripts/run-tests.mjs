// Runs every compiled test file in a process of its own and adds up what uvu reports.
//
//   node scripts/run-tests.mjs [--asan] [--show] [WORD…]     only files whose name holds one of the words
//
//   --asan   with the addon that is built with AddressSanitizer and UBSan
//   --show   what passing files print, too
//
// uvu exits 0 when a hook throws or when a file forgets .run(); here such a file fails: it must report a total of at least
// one test, all of them passed, and exit 0.
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FILE_TIMEOUT_MS = 300_000;
// A process that ends while its code is being optimized can wait for ever (nodejs/node#54918): here one in a hundred did.
const NODE_FLAGS = ['--no-concurrent-recompilation', '--enable-source-maps'];
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'dist', 'test');
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const asan = process.argv.includes('--asan');
const show = process.argv.includes('--show');

function environment() {
  if (!asan) return process.env;
  const library = execFileSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
  return {
    ...process.env,
    VOLLEY_ADDON: 'debug',
    LD_PRELOAD: library,
    // Node itself never frees what lives as long as the process.
    ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1',
    UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  };
}

/** Ends whatever a test file left running in its process group. Returns whether there was anything. */
function endLeftovers(group) {
  try {
    process.kill(-group, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}

function runFile(file) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...NODE_FLAGS, join(folder, file)], {
      cwd: root,
      env: environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true, // a process group of its own, so that nothing it started can outlive it
    });
    let output = '';
    let leftovers = false;
    child.stdout.on('data', (bytes) => (output += bytes));
    child.stderr.on('data', (bytes) => (output += bytes));
    const timer = setTimeout(() => {
      output += `\nkilled after ${FILE_TIMEOUT_MS / 1000} s\n`;
      child.kill('SIGKILL');
    }, FILE_TIMEOUT_MS);
    child.on('exit', () => (leftovers = endLeftovers(child.pid)));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ output, code, signal, leftovers });
    });
  });
}

function judge({ output, code, signal, leftovers }) {
  const plain = output.replace(/\x1b\[[0-9;]*m/g, '');
  const read = (label) => Number(new RegExp(`^\\s*${label}:\\s+(\\d+)`, 'm').exec(plain)?.[1] ?? Number.NaN);
  const total = read('Total');
  const passed = read('Passed');
  const skipped = read('Skipped');
  let fault = '';
  if (signal) fault = `ended by ${signal}`;
  else if (code !== 0) fault = `exit code ${code}`;
  else if (!(total >= 1)) fault = 'ran no test, or a hook threw';
  else if (passed !== total) fault = 'a hook threw or tests did not report';
  else if (leftovers) fault = 'left processes behind';
  const failed = Math.max((total || 0) - (passed || 0), fault ? 1 : 0);
  return { passed: passed || 0, skipped: skipped || 0, failed, fault };
}

const files = readdirSync(folder)
  .filter(
    (name) => name.endsWith('.test.js') && (words.length === 0 || words.some((word) => name.includes(word))),
  )
  .sort();
const sum = { passed: 0, failed: 0, skipped: 0 };
if (files.length === 0) sum.failed = 1;
for (const file of files) {
  const began = Date.now();
  const run = await runFile(file);
  const verdict = judge(run);
  for (const key of Object.keys(sum)) sum[key] += verdict[key];
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  const name = file.replace('.test.js', '');
  if (verdict.fault) console.log(`${run.output}\nFAILED ${name}: ${verdict.fault}`);
  else {
    if (show) console.log(run.output);
    console.log(
      `ok ${name}: ${verdict.passed} tests, ${seconds} s${verdict.skipped ? `, ${verdict.skipped} skipped` : ''}`,
    );
  }
}
console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped ? `, ${sum.skipped} skipped` : ''}`);
process.exit(sum.failed === 0 ? 0 : 1);
