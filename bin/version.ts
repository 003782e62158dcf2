import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../src/root.js';

/** This package's version. */
export function version(): string {
  return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version;
}
