import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { VolleyError } from '../../src/errors.js';
import { pathOf } from '../../src/file-path.js';
import { systemWords } from '../../src/system-error.js';
import { Credentials, type Entry } from './credentials.js';
import type { Rights } from './rights.js';

const FILE_BYTES_MAX = 16 * 1024;
const USERS_MAX = 64;
/** Longest line: memcached's limit. */
const LINE_BYTES_MAX = 255;
const BLANK = 0x20;
const COLON = 0x3a;
const LF = 0x0a;
const CR = 0x0d;

/**
 * Reads memcached's auth file: lines of `user:password`, behind which, after a blank, `read` or `all` tells what the user may
 * do (memcached knows no rights; default all). A user may have several passwords, so that one can be changed
 * without a moment when neither is right. The file must be regular, belong to root or to this process's user, and be
 * closed to everybody else.
 * @throws VolleyError ERR_VOLLEY_FILE that tells what is wrong with the file, and never what is in it
 */
export function readAuthFile(path: string): Credentials {
  const text = readGuarded(path);
  const entries: Entry[] = [];
  for (let at = 0, line = 1; at < text.length; line++) {
    const next = text.indexOf(LF, at);
    let end = next < 0 ? text.length : next;
    if (end > at && text[end - 1] === CR) end--;
    if (entries.length === USERS_MAX) throw unusable(path, `it has more than ${USERS_MAX} lines`);
    entries.push(parseLine(path, text.subarray(at, end), line));
    at = next < 0 ? text.length : next + 1;
  }
  if (entries.length === 0) throw unusable(path, 'it is empty; give it lines of user:password');
  const credentials = new Credentials(entries);
  text.fill(0);
  return credentials;
}

function parseLine(path: string, line: Uint8Array, number: number): Entry {
  const where = `line ${number}`;
  const blank = line.indexOf(BLANK);
  const entry = blank < 0 ? line : line.subarray(0, blank);
  const rights = blank < 0 ? 'all' : Buffer.from(line.subarray(blank + 1)).toString('latin1');
  const colon = entry.indexOf(COLON);
  if (colon < 1 || colon === entry.length - 1) throw unusable(path, `${where} is not user:password`);
  if (entry.length > LINE_BYTES_MAX) throw unusable(path, `${where} has more than ${LINE_BYTES_MAX} bytes`);
  // The text protocol separates user and password by a blank.
  if (entry.some((byte) => byte <= 0x20 || byte === 0x7f)) {
    throw unusable(path, `${where} has a blank or a control character in the user or the password`);
  }
  // What is behind the blank is not told: it may be part of a password.
  if (!isRights(rights)) {
    throw unusable(path, `${where} has a blank that "read" or "all" does not follow, or one in the password`);
  }
  return { user: entry.subarray(0, colon), password: entry.subarray(colon + 1), rights };
}

function isRights(text: string): text is Rights {
  return text === 'read' || text === 'all';
}

/** The file's bytes, read from the descriptor that was checked. */
function readGuarded(path: string): Buffer {
  let descriptor: number | undefined;
  try {
    // A pipe in the file's place must not hold up the start.
    descriptor = openSync(pathOf(path), constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    checkAccess(path, fstatSync(descriptor));
    const buffer = Buffer.alloc(FILE_BYTES_MAX + 1);
    let have = 0;
    for (let got = -1; got !== 0 && have < buffer.length; have += got) {
      got = readSync(descriptor, buffer, have, buffer.length - have, null);
    }
    if (have > FILE_BYTES_MAX) throw unusable(path, `it has more than ${FILE_BYTES_MAX} bytes`);
    return buffer.subarray(0, have);
  } catch (error) {
    throw error instanceof VolleyError ? error : unusable(path, systemWords(error), error);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function checkAccess(path: string, stats: Stats): void {
  if (!stats.isFile()) throw unusable(path, 'it is no regular file');
  if ((stats.mode & 0o077) !== 0)
    throw unusable(path, `others than its owner may use it; run: chmod 600 ${path}`);
  if (stats.uid !== 0 && stats.uid !== process.geteuid!()) {
    throw unusable(path, 'it belongs neither to root nor to the user that the node runs as');
  }
}

function unusable(path: string, fault: string, cause?: unknown): VolleyError {
  return new VolleyError('ERR_VOLLEY_FILE', `the auth file ${path} cannot be used: ${fault}`, { cause });
}
