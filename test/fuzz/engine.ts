import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { VolleyError } from '../../src/errors.js';
import { ROOT } from '../../src/root.js';
import { makeCompat, needsCompat } from './older-system.js';
import { TARGETS, type Target } from './targets.js';

/** Longer inputs reach nothing that these do not, for the text protocol's lines end at 2048 bytes; they take longer. */
const INPUT_BYTES_MAX = 2600;
const RSS_LIMIT_MB = 1024;
const CI_SEED = 1;
const CACHE = join(ROOT, '.cache', 'fuzz');
const LIBRARY_FOLDER = join(CACHE, 'libfuzzer');
/** The oldest that native/coverage.cc is known to work with. */
const LLVM_MIN = 14;
const SANITIZE = [
  '-fsanitize=address,undefined',
  '-fno-sanitize-recover=undefined',
  '-fno-omit-frame-pointer',
];

/** A command line, and what its environment has beside the usual. */
export interface FuzzCommand {
  command: string;
  args: string[];
  environment: NodeJS.ProcessEnv;
}

export function seedFolder(target: Target): string {
  return join(ROOT, 'test', 'fuzz', 'seeds', target.name);
}

/**
 * Builds what a target needs, in a folder of its own.
 * @throws VolleyError ERR_VOLLEY_SETUP when libFuzzer cannot be fetched
 */
export function prepare(target: Target, folder: string): FuzzCommand {
  mkdirSync(folder, { recursive: true });
  return target.isNative ? prepareNative(target, folder) : prepareScript(target, folder);
}

function prepareScript(target: Target, folder: string): FuzzCommand {
  const module = join(ROOT, 'dist', 'test', 'fuzz', `${target.name}.target.js`);
  const includes = target.subjects.flatMap((part) => ['-i', part]);
  const compat = needsCompat() ? makeCompat(ROOT, join(CACHE, `compat-${process.pid}`)) : null;
  const cli = compat?.cli ?? join(ROOT, 'node_modules', '@jazzer.js', 'core', 'dist', 'cli.js');
  return {
    command: process.execPath,
    args: ['--enable-source-maps', cli, module, folder, seedFolder(target), ...includes, '--sync', '--'],
    environment: compat ? { LD_PRELOAD: compat.preload } : {},
  };
}

/** Removes what prepare() left outside of the folder. */
export function cleanUp(): void {
  rmSync(join(CACHE, `compat-${process.pid}`), { recursive: true, force: true });
}

function prepareNative(target: Target, folder: string): FuzzCommand {
  const library = fetchedLibrary();
  const native = join(ROOT, 'test', 'fuzz', 'native');
  const xxhash = join(ROOT, 'node_modules', 'xxhash-addon', 'xxHash');
  const binary = join(dirname(folder), `${target.name}-fuzzer`);
  const object = `${binary}.o`;
  const compile = ['-std=c++20', '-g', '-O1', '-Wall', '-Wextra', '-Werror', `-I${xxhash}`, ...SANITIZE];
  execFileSync('g++', [...compile, '-c', join(native, 'coverage.cc'), '-o', object]);
  const hash = process.arch === 'x64' ? ['xxhash.c', 'xxh_x86dispatch.c'] : ['xxhash.c'];
  const hashObjects = hash.map((name) => {
    const out = `${binary}-${name}.o`;
    execFileSync('gcc', ['-O2', '-c', join(xxhash, name), '-o', out]);
    return out;
  });
  const wraps = ['__sanitizer_cov_trace_pc', ...(target.wrapped ?? [])].map((name) => `-Wl,--wrap=${name}`);
  const sources = [join(native, `${target.name}.cc`), ...target.subjects.map((name) => join(ROOT, name))];
  const coverage = '-fsanitize-coverage=trace-pc,trace-cmp';
  const inputs = [...sources, object, ...hashObjects, library];
  execFileSync('g++', [...compile, coverage, ...inputs, ...wraps, '-o', binary]);
  return { command: binary, args: [folder, seedFolder(target)], environment: {} };
}

/** Unpacks Debian's libFuzzer.a (182 kB), without the compiler that its package depends on: gcc does. Returns its path. */
function fetchedLibrary(): string {
  const unpacked = findLibrary();
  if (unpacked) return unpacked;
  const scratch = join(CACHE, `fetch-${process.pid}`);
  mkdirSync(scratch, { recursive: true });
  try {
    const user = execFileSync('id', ['-un'], { encoding: 'utf8' }).trim();
    const apt = ['-o', `APT::Sandbox::User=${user}`, 'download', '-qq', libraryPackage()];
    execFileSync('apt-get', apt, { cwd: scratch });
    const file = readdirSync(scratch).find((name) => name.endsWith('.deb'))!;
    execFileSync('dpkg-deb', ['-x', join(scratch, file), LIBRARY_FOLDER]);
    return findLibrary()!;
  } catch (cause) {
    const text =
      "cannot fetch Debian's package libfuzzer-NN-dev with apt-get download; run: sudo apt-get update";
    throw new VolleyError('ERR_VOLLEY_SETUP', text, { cause });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function findLibrary(): string | undefined {
  if (!existsSync(LIBRARY_FOLDER)) return undefined;
  const files = readdirSync(LIBRARY_FOLDER, { recursive: true, encoding: 'utf8' });
  const file = files.find((path) => path.endsWith('/libFuzzer.a'));
  return file && join(LIBRARY_FOLDER, file);
}

/** Each release of Debian has some of LLVM's versions; of those the oldest that will do. */
function libraryPackage(): string {
  const names = execFileSync('apt-cache', ['pkgnames', 'libfuzzer-'], { encoding: 'utf8' }).split('\n');
  const versions = names
    .filter((name) => /^libfuzzer-\d+-dev$/.test(name))
    .map((name) => Number(name.split('-')[1]))
    .filter((version) => version >= LLVM_MIN);
  if (versions.length === 0) throw new Error('apt knows no package libfuzzer-NN-dev');
  return `libfuzzer-${Math.min(...versions)}-dev`;
}

/** libFuzzer's options. @param findings where inputs that fail are written, as the begin of their paths */
export function fuzzOptions(seconds: number, findings: string): string[] {
  return [
    `-max_total_time=${seconds}`,
    `-max_len=${INPUT_BYTES_MAX}`,
    `-rss_limit_mb=${RSS_LIMIT_MB}`,
    `-artifact_prefix=${findings}`,
    '-print_final_stats=1',
    // 0, the default, is another one each time.
    `-seed=${process.env.CI ? CI_SEED : 0}`,
  ];
}

/** @throws VolleyError ERR_VOLLEY_USAGE when there is no such target */
export function targetOf(name: string | undefined): Target {
  const found = TARGETS.find((target) => target.name === name);
  if (found) return found;
  const names = TARGETS.map((target) => target.name).join(', ');
  throw new VolleyError('ERR_VOLLEY_USAGE', `${name ?? 'nothing'} cannot be fuzzed; choose one of ${names}`);
}
