import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { VolleyError } from '../../src/errors.js';
import { ROOT } from '../../src/root.js';

const run = promisify(execFile);
const TIMEOUT_MS = 300_000;

/** The C programs of bench/reference, and the library that each is linked with. */
const LIBRARIES = { reference: '-lmemcached', clients: '-lmemcached', upload: '-lcrypto' };

/** Compiles a C program of bench/reference when it is not compiled yet. Returns its path. */
export async function program(name: keyof typeof LIBRARIES): Promise<string> {
  const source = join(ROOT, 'bench/reference', `${name}.c`);
  const path = join(ROOT, 'build', name);
  if (existsSync(path) && statSync(path).mtimeMs > statSync(source).mtimeMs) return path;
  mkdirSync(join(ROOT, 'build'), { recursive: true });
  try {
    await run('gcc', ['-O2', '-Wall', '-Wextra', '-o', path, source, LIBRARIES[name]]);
    return path;
  } catch (error) {
    throw new VolleyError(
      'ERR_VOLLEY_SETUP',
      `the program ${source} does not compile; run: scripts/setup --tests`,
      {
        cause: error,
      },
    );
  }
}

/** Runs the reference program; its arguments are told at the head of reference.c. Returns seconds, one per round. */
export async function reference(...args: (string | number)[]): Promise<number[]> {
  const { stdout } = await run(await program('reference'), args.map(String), { timeout: TIMEOUT_MS });
  return stdout.trim().split('\n').map(Number);
}

/** Runs the pipelined C client that stores a file in memcached; returns its seconds. */
export async function referenceUpload(
  host: string,
  port: number,
  file: string,
  valueBytes: number,
): Promise<number> {
  const args = [host, port, file, valueBytes].map(String);
  const { stdout } = await run(await program('upload'), args, { timeout: TIMEOUT_MS });
  return Number(stdout);
}
