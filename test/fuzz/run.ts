// Fuzzes one target for as long as wanted; what it learns is kept in .cache/fuzz for the next time.
//
//   npm run fuzz -- TARGET [--seconds N]
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../../src/root.js';
import { cleanUp, fuzzOptions, prepare, targetOf } from './engine.js';

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string', default: '180' } },
  allowPositionals: true,
});
try {
  const target = targetOf(positionals[0]);
  const folder = join(ROOT, '.cache', 'fuzz', 'corpus', target.name);
  const findings = join(ROOT, '.cache', 'fuzz', 'findings');
  mkdirSync(findings, { recursive: true });
  const { command, args, environment } = prepare(target, folder);
  const options = fuzzOptions(Number(values.seconds), join(findings, `${target.name}-`));
  const env = { ...process.env, ...environment };
  process.exitCode = spawnSync(command, [...args, ...options], { stdio: 'inherit', env }).status ?? 1;
} catch (error) {
  process.stderr.write(`fuzz: ${(error as Error).message}\n`);
  process.exitCode = 2;
} finally {
  cleanUp();
}
