// Runs memcached's own tests (t/*.t of its source) against Volley nodes.
//
//   node scripts/memcached-suite/run.mjs [--all] [--table] [WORD…]     only files whose name holds one of the words
//
//   --all     also the files that files.mjs calls not applicable
//   --table   print the table of docs/compatibility.md instead of running anything
//
// Each file runs as it does in memcached's build folder; the memcached that it starts is server.mjs, a node with the flags
// that the file gives. Needs perl, cc and apt-get. Exit code 3: the source cannot be fetched.
import { spawn } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { APPLICABLE, EXCEPT, NOT_APPLICABLE, ONLY_BEFORE } from './files.mjs';
import { buildFolder, memcachedSource, versionOf } from './source.mjs';

const FILE_TIMEOUT_MS = 120_000;
/** Files that run at a time: most of them wait most of the time. */
const PARALLEL = 6;
const here = dirname(fileURLToPath(import.meta.url));
const cache = join(here, '..', '..', '.cache', 'memcached-suite');
const options = process.argv.slice(2).filter((word) => word.startsWith('--'));
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));

/** Ends whatever is left of a process group. */
function endGroup(group) {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // It is empty, as it should be.
  }
}

function runFile(folder, name) {
  const began = performance.now();
  return new Promise((resolve) => {
    const child = spawn('perl', [join('t', name)], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let stdout = '';
    let output = '';
    child.stdout.on('data', (bytes) => {
      stdout += bytes;
      output += bytes;
    });
    child.stderr.on('data', (bytes) => {
      output += bytes;
    });
    const timer = setTimeout(() => endGroup(child.pid), FILE_TIMEOUT_MS);
    child.on('exit', () => endGroup(child.pid));
    child.on('close', (_code, signal) => {
      clearTimeout(timer);
      const seconds = (performance.now() - began) / 1000;
      resolve({ name, output, seconds, ...judge(stdout, signal, EXCEPT[name] ?? {}) });
    });
  });
}

/** What the file's answers in TAP come to, where the tests `except` are to fail. */
function judge(stdout, signal, except) {
  const told = [...stdout.matchAll(/^(not )?ok (\d+)(.*)$/gm)];
  const skippedAll = /^1\.\.0 # SKIP (.*)$/im.exec(stdout)?.[1];
  const planned = Number(/^1\.\.(\d+)/m.exec(stdout)?.[1] ?? Number.NaN);
  const wrong = told.filter(([, not, number, rest]) => {
    const isToFail = number in except;
    return !/# TODO/i.test(rest) && (not !== undefined) !== isToFail;
  });
  let verdict = 'pass';
  if (skippedAll !== undefined) verdict = `skipped: ${skippedAll}`;
  else if (signal) verdict = `ended by ${signal}`;
  else if (wrong.length > 0) verdict = `tests ${wrong.map(([, , number]) => number).join(', ')}`;
  else if (told.length !== planned) verdict = `${told.length} of ${planned} tests`;
  const passed = told.filter(([, not, , rest]) => not === undefined && !/# skip/i.test(rest)).length;
  return { verdict, passed };
}

async function runAll(folder, names) {
  const results = [];
  const waiting = [...names];
  const worker = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const result = await runFile(folder, name);
      results.push(result);
      const { verdict, passed, seconds, output } = result;
      if (verdict === 'pass') console.log(`ok ${name}: ${passed} tests, ${seconds.toFixed(1)} s`);
      else console.log(`${output.slice(-4000)}\nFAILED ${name}: ${verdict}`);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return results;
}

/** Whether the file asks nothing of a node, in the suite of that version. */
function isNotApplicable(name, version) {
  const since = ONLY_BEFORE[name]?.version;
  return name in NOT_APPLICABLE || (since !== undefined && isAtLeast(version, since));
}

/** Versions are numbers with dots. */
function isAtLeast(version, least) {
  return version.localeCompare(least, 'en', { numeric: true }) >= 0;
}

/** A row per file: what it tests of a node, or why nothing. */
function printTable() {
  console.log('| file | |\n|---|---|');
  for (const name of [...APPLICABLE, ...Object.keys(NOT_APPLICABLE)].sort()) {
    const except = Object.entries(EXCEPT[name] ?? {}).map(([number, why]) => `test ${number} (${why})`);
    const passes = except.length > 0 ? `passes but for ${except.join(', ')}` : 'passes';
    const why = NOT_APPLICABLE[name];
    const before = ONLY_BEFORE[name];
    const until = before ? `; not applicable from ${before.version} on: ${before.why}` : '';
    console.log(`| ${name} | ${why === undefined ? passes + until : `not applicable: ${why}`} |`);
  }
}

function findSource() {
  try {
    return memcachedSource(cache);
  } catch (error) {
    console.error(error.message);
    return process.exit(3);
  }
}

async function main() {
  const source = findSource();
  const files = readdirSync(join(source, 't')).filter((name) => name.endsWith('.t'));
  const version = versionOf(source);
  const unknown = files.filter((name) => !(name in NOT_APPLICABLE) && !APPLICABLE.includes(name));
  if (unknown.length > 0) console.log(`FAILED: files.mjs does not list ${unknown.join(', ')}`);
  const folder = join(cache, `run-${process.pid}`);
  buildFolder(source, folder, join(here, 'server.mjs'));
  const chosen = files
    .sort()
    .filter((name) => options.includes('--all') || !isNotApplicable(name, version))
    .filter((name) => words.length === 0 || words.some((word) => name.includes(word)));
  const results = await runAll(folder, chosen);
  rmSync(folder, { recursive: true, force: true });
  const failed = results.filter(({ verdict }) => verdict !== 'pass').length + unknown.length;
  console.log(`${results.length - failed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && results.length > 0 ? 0 : 1;
}

if (options.includes('--table')) printTable();
else await main();
