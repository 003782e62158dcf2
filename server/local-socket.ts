import { lstatSync } from 'node:fs';
import { connect } from 'node:net';
import { VolleyError } from '../src/errors.js';

const CONNECT_TIMEOUT_MS = 2000;
/** Longest path that a unix socket's address can hold. */
const PATH_BYTES_MAX = 107;

/**
 * Makes sure that a unix socket can be made at `path` without taking it from anybody: nothing is there, or the socket of
 * a node that is dead (which may then be replaced).
 * @param option the option that gives the path, for messages
 * @throws VolleyError ERR_VOLLEY_FILE when something else is there, or a node that lives
 */
export async function claimSocketPath(path: string, option = '--local'): Promise<void> {
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) {
    throw refusal(option, path, `is longer than ${PATH_BYTES_MAX} bytes`);
  }
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) throw refusal(option, path, 'is there and is no socket');
  const code = await tryConnecting(path);
  if (code === null || code === 'EAGAIN') throw refusal(option, path, 'belongs to a node that is running');
  if (code !== 'ECONNREFUSED' && code !== 'ENOENT')
    throw refusal(option, path, `is there and cannot be probed (${code})`);
}

/** Null when somebody listens there, else the system's error code. */
function tryConnecting(path: string): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (code: string | null) => {
      socket.destroy();
      resolve(code);
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => end('ETIMEDOUT'));
    socket.once('connect', () => end(null));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}

function refusal(option: string, path: string, why: string): VolleyError {
  const help = option === '--local' ? 'with --local, or --local off' : `with ${option}`;
  return new VolleyError('ERR_VOLLEY_FILE', `the socket ${path} ${why}; give another path ${help}`);
}
