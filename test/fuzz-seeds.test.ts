import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { seedFolder } from './fuzz/engine.js';
import { TARGETS } from './fuzz/targets.js';

// What fuzzing has found becomes a seed, so that it is tried here ever after, also where nothing can be fuzzed.
const test = suite('seeds of fuzzing');

for (const target of TARGETS) {
  if (target.isNative) continue;
  test(`the ${target.name} target bears its seeds, and each of them cut short`, async () => {
    const { fuzz } = (await import(`./fuzz/${target.name}.target.js`)) as { fuzz(input: Buffer): void };
    for (const name of readdirSync(seedFolder(target))) {
      const seed = readFileSync(join(seedFolder(target), name));
      fuzz(seed);
      for (let end = 0; end < Math.min(seed.length, 300); end++) fuzz(seed.subarray(0, end));
    }
  });
}

test.run();
