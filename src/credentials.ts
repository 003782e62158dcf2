import { VolleyError } from './errors.js';

/** Who a client is to storage nodes that want to know. */
export interface Credentials {
  user: string;
  password: string;
}

/** Longest line of an auth file, `user:password`: memcached's limit. */
const BYTES_MAX = 255;

/** Checks that nodes can be told them by either protocol. @throws VolleyError ERR_VOLLEY_USAGE that quotes neither */
export function checkCredentials({ user, password }: Credentials): void {
  const isSound = (text: string) => text !== '' && !/[\x00-\x20\x7f]/.test(text);
  const rule = 'it is not empty and has no blanks and no control characters';
  if (!isSound(user) || user.includes(':'))
    throw usage(`the user for the nodes is not acceptable: ${rule}, nor a colon`);
  if (!isSound(password)) throw usage(`the password for the nodes is not acceptable: ${rule}`);
  if (Buffer.byteLength(`${user}:${password}`) <= BYTES_MAX) return;
  throw usage(`user and password for the nodes have more than ${BYTES_MAX - 1} bytes`);
}

/**
 * What authenticates a connection of the text protocol; the answer is STORED. Key and flags are ignored. The exptime lies
 * in the past, so that a server without authentication, which takes it for an item, shows it to nobody.
 */
export function greetingOf({ user, password }: Credentials): Buffer {
  const value = `${user} ${password}`;
  return Buffer.from(`set volley:login 0 -1 ${Buffer.byteLength(value)}\r\n${value}\r\n`);
}

function usage(message: string): VolleyError {
  return new VolleyError('ERR_VOLLEY_USAGE', message);
}
