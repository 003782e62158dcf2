import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../../src/root.js';

/** Folder of the last release, 0.1.0, unpacked and built; that takes a minute or two when it is not there yet. */
export async function lastRelease(): Promise<string> {
  const { stdout } = await promisify(execFile)(join(ROOT, 'scripts', 'last-release'));
  return stdout.trim();
}
