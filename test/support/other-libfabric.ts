import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../../src/root.js';

/** The library of another Debian release, with names of its own for providers. */
export interface OtherLibfabric {
  /** Debian's name of that release. */
  release: string;
  /** A command line that runs the one that follows it with that library. */
  within: readonly string[];
}

/** Fetches it once: of Debian 13 (libfabric 2.1), or on that of Debian 12 (libfabric 1.17). */
export async function otherLibfabric(): Promise<OtherLibfabric> {
  const release = /VERSION_CODENAME=bookworm/.test(readFileSync('/etc/os-release', 'latin1'))
    ? 'trixie'
    : 'bookworm';
  await promisify(execFile)(join(ROOT, 'scripts', 'fetch-libfabric'), [release]);
  const folder = join(ROOT, '.cache', `libfabric-${release}`);
  const loader = join(folder, 'loader');
  const library = join(folder, 'lib');
  const within = existsSync(loader)
    ? [loader, '--library-path', library]
    : ['env', `LD_LIBRARY_PATH=${library}`];
  return { release, within };
}
