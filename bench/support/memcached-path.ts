import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../src/root.js';

/** Debian's stock memcached: the one that `scripts/setup --tests` unpacks, else that of the system. */
export function memcachedPath(): string {
  const unpacked = join(ROOT, '.cache', 'memcached', 'usr', 'bin', 'memcached');
  return existsSync(unpacked) ? unpacked : 'memcached';
}
