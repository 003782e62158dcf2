import { createCipheriv, createHash } from 'node:crypto';

/** In CI always this one, so that what failed there fails again. */
const CI_SEED = 1;

/** The seed of what a test draws: VOLLEY_SEED, else one of its own each time. Print it where a test fails by it. */
export const SEED = Number(process.env.VOLLEY_SEED ?? (process.env.CI ? CI_SEED : Date.now() % 1e9));

/** AES in counter mode, keyed by the seed; each program with its arguments draws bytes of its own. */
const stream = createCipheriv(
  'aes-128-ctr',
  createHash('md5')
    .update([SEED, ...process.argv.slice(1)].join('\0'))
    .digest(),
  Buffer.alloc(16),
);

/** Incompressible bytes, the same ones for the same SEED in the same order of calls. Not for names that must be unique. */
export function randomBytes(count: number): Buffer {
  return stream.update(Buffer.alloc(count));
}
