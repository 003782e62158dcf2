import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, readlink, realpath, stat } from 'node:fs/promises';
import { constants as system } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import { pathOf, textOfPath } from '../../src/file-path.js';
import { errnoOf, writeError } from './file-error.js';

const { ENOENT, ETXTBSY } = system.errno;
const LINKS_MAX = 40;
const OPEN_FILES = /^\/proc\/[^/]+\/(task\/\d+\/)?fd$/;

/** A file that is there. */
export interface ExistingFile {
  stats: Stats;
  /** Open for writing; null for a running program, which can be replaced only. */
  file: FileHandle | null;
  /** Whether it is named by a descriptor of a process, and not in a folder. */
  isDescriptor: boolean;
}

/** The file that is to be written. */
export interface Target {
  /** As the user named it. */
  given: string;
  /** With symbolic links followed. */
  path: string;
  existing: ExistingFile | null;
}

/**
 * Finds out what is there under a path, and that it may be written.
 * @throws VolleyError ERR_VOLLEY_FILE when it may not be, or is no regular file
 */
export async function openTarget(given: string): Promise<Target> {
  try {
    if (given.endsWith('/'))
      throw writeError(given, null, 'it names a directory, no regular file; name a file in it');
    const { path, isDescriptor } = await follow(given);
    const found = await stat(pathOf(path)).catch(unlessMissing);
    if (!found) return { given, path, existing: null };
    checkRegular(given, found);
    const file = await open(pathOf(path), constants.O_WRONLY | constants.O_NONBLOCK).catch(unlessRunning);
    return { given, path, existing: { stats: found, file, isDescriptor } };
  } catch (error) {
    throw writeError(given, error);
  }
}

/** Follows symbolic links, also one that leads to a file that is not there yet. */
async function follow(given: string): Promise<{ path: string; isDescriptor: boolean }> {
  let path = given;
  for (let links = 0; links < LINKS_MAX; links++) {
    const folder = textOfPath(await realpath(pathOf(dirname(path)), { encoding: 'buffer' }));
    path = resolve(folder, basename(path));
    if (OPEN_FILES.test(folder)) return { path, isDescriptor: true };
    const found = await lstat(pathOf(path)).catch(unlessMissing);
    if (!found?.isSymbolicLink()) return { path, isDescriptor: false };
    path = resolve(folder, textOfPath(await readlink(pathOf(path), { encoding: 'buffer' })));
  }
  throw writeError(given, null, 'too many symbolic links');
}

function unlessMissing(error: unknown): null {
  if (errnoOf(error) === ENOENT) return null;
  throw error;
}

function unlessRunning(error: unknown): null {
  if (errnoOf(error) === ETXTBSY) return null;
  throw error;
}

function checkRegular(given: string, stats: Stats): void {
  if (stats.isFile()) return;
  if (stats.isDirectory()) {
    throw writeError(given, null, 'it is a directory, no regular file; name a file in it');
  }
  const kind = stats.isFIFO() ? 'a pipe' : stats.isSocket() ? 'a socket' : 'a device';
  throw writeError(
    given,
    null,
    `it is ${kind}, no regular file; take --out - and redirect, or pipe it there`,
  );
}
