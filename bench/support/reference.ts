import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { VolleyError } from '../../src/errors.js';
import { ROOT } from '../../src/native.js';

const run = promisify(execFile);
const SOURCE = join(ROOT, 'bench/reference/reference.c');
const PROGRAM = join(ROOT, 'build/reference');
const TIMEOUT_MS = 300_000;

/** Compiles the C program that measures memcpy and libmemcached, when it is not compiled yet. */
async function build(): Promise<void> {
  if (existsSync(PROGRAM) && statSync(PROGRAM).mtimeMs > statSync(SOURCE).mtimeMs) return;
  mkdirSync(join(ROOT, 'build'), { recursive: true });
  try {
    await run('gcc', ['-O2', '-Wall', '-Wextra', '-o', PROGRAM, SOURCE, '-lmemcached']);
  } catch (error) {
    throw new VolleyError('ERR_VOLLEY_SETUP', 'the reference program does not compile; run: npm run setup', {
      cause: error,
    });
  }
}

/** Runs the reference program; its arguments are told at the head of reference.c. Returns seconds, one per round. */
export async function reference(...args: (string | number)[]): Promise<number[]> {
  await build();
  const { stdout } = await run(PROGRAM, args.map(String), { timeout: TIMEOUT_MS });
  return stdout.trim().split('\n').map(Number);
}
