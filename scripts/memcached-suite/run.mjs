// Runs memcached's own tests (t/*.t of its source) against Volley nodes.
//
//   node scripts/memcached-suite/run.mjs [--table] [WORD…]     only files whose name holds one of the words
//
//   --table   print the table of docs/compatibility.md
//   --skip    end with 0 when the source cannot be fetched
//
// Each file runs as it does in memcached's build folder; the memcached that it starts is server.mjs, a node with the flags
// that the file gives. Needs perl, cc and apt-get.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NOT_APPLICABLE } from './files.mjs';
import { buildFolder, memcachedSource } from './source.mjs';

const FILE_TIMEOUT_MS = 120_000;
/** Files that run at a time: most of them wait most of the time. */
const PARALLEL = 4;
const here = dirname(fileURLToPath(import.meta.url));
const cache = join(here, '..', '..', '.cache', 'memcached-suite');
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));

/** Ends whatever is left of a process group. */
function endGroup(group) {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {}
}

function runFile(folder, name) {
  const began = performance.now();
  return new Promise((resolve) => {
    const child = spawn('perl', [join('t', name)], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let stdout = '';
    let output = '';
    child.stdout.on('data', (bytes) => {
      stdout += bytes;
      output += bytes;
    });
    child.stderr.on('data', (bytes) => (output += bytes));
    const timer = setTimeout(() => endGroup(child.pid), FILE_TIMEOUT_MS);
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      endGroup(child.pid);
      resolve({ name, output, ...judge(stdout, code, signal), seconds: (performance.now() - began) / 1000 });
    });
  });
}

/** What the file's answers in TAP come to. */
function judge(stdout, code, signal) {
  const passed = stdout.match(/^ok /gm)?.length ?? 0;
  const skipped = stdout.match(/^ok .*# skip/gim)?.length ?? 0;
  const failures = stdout.match(/^not ok (?!.*# TODO).*$/gm) ?? [];
  const all = /^1\.\.0 # SKIP (.*)$/im.exec(stdout)?.[1];
  const planned = Number(/^1\.\.(\d+)/m.exec(stdout)?.[1] ?? Number.NaN);
  let verdict = 'pass';
  if (all !== undefined) verdict = `skipped: ${all}`;
  else if (signal) verdict = `ended by ${signal}`;
  else if (code !== 0 || failures.length > 0) verdict = `exit code ${code}, ${failures.length} failures`;
  else if (passed !== planned) verdict = `${passed} of ${planned} tests`;
  return { verdict, passed: passed - skipped };
}

async function runAll(folder, names) {
  const results = [];
  const waiting = [...names];
  const worker = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const result = await runFile(folder, name);
      results.push(result);
      if (result.verdict !== 'pass') console.log(`${result.output}\nFAILED ${name}: ${result.verdict}`);
      else console.log(`ok ${name}: ${result.passed} tests, ${result.seconds.toFixed(1)} s`);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return results;
}

const source = memcachedSource(cache);
const folder = join(cache, `run-${process.pid}`);
buildFolder(source, folder, join(here, 'server.mjs'));
const files = readdirSync(join(folder, 't')).filter((name) => name.endsWith('.t')).sort();
const chosen = files.filter((name) => words.length > 0 ? words.some((word) => name.includes(word)) : !(name in NOT_APPLICABLE));
const results = await runAll(folder, chosen);
const failed = results.filter(({ verdict }) => verdict !== 'pass').length;
console.log(`${results.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
