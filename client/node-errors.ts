import { VolleyError } from '../src/errors.js';
import { systemWords } from '../src/system-error.js';

const WORDS: Record<string, string> = {
  ECONNREFUSED: 'the connection was refused; is the node running there?',
  ECONNRESET: 'it reset the connection',
  EPIPE: 'it closed the connection',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no route to it',
  ENOTFOUND: 'its host name is not known',
  EAI_AGAIN: 'its host name could not be looked up',
};

const UNKNOWN_AUTHORITY =
  'its certificate is of no authority that is known here; give the authority with --tls-ca';
const NO_TLS = 'it does not speak TLS; leave --tls out, or start the node with --tls-cert';
const TLS_WORDS: Record<string, string> = {
  ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: NO_TLS,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name; give that name with --tls-server-name',
};

/** A node that TLS does not come about with, or null when the cause is another one. */
function tlsFault(node: string, cause: unknown): VolleyError | null {
  const code = (cause as NodeJS.ErrnoException)?.code ?? '';
  const isAlert = /^ERR_SSL_.*ALERT/.test(code);
  const alert =
    'it refused this client by TLS; give a certificate that it takes with --tls-cert and --tls-key';
  const words = TLS_WORDS[code] ?? (isAlert ? alert : null);
  return words === null
    ? null
    : new VolleyError('ERR_VOLLEY_TLS', `node ${node} cannot be used: ${words}`, { cause });
}

/** A node that wants TLS. */
export function nodeWantsTls(node: string): VolleyError {
  const help =
    'give --tls-ca with the authority of its certificate (or --tls, VOLLEY_TLS_CA, "tls" in the config file)';
  return new VolleyError('ERR_VOLLEY_TLS', `node ${node} speaks TLS only; ${help}`);
}

/** A node that cannot be reached, or that went away. */
export function nodeDown(node: string, cause: unknown): VolleyError {
  const fault = tlsFault(node, cause);
  if (fault) return fault;
  const code = (cause as NodeJS.ErrnoException)?.code ?? '';
  const words = WORDS[code] ?? systemWords(cause);
  return new VolleyError('ERR_VOLLEY_NODE_DOWN', `node ${node} is down: ${words}`, { cause });
}

/** A node that did not answer in time. */
export function nodeTimeout(node: string, what: string, timeoutMs: number): VolleyError {
  const text = `node ${node} did not answer (${what}) within ${timeoutMs} ms; is it stopped, overloaded or no memcached?`;
  return new VolleyError('ERR_VOLLEY_TIMEOUT', text);
}

/** A node that answered something that memcached would not. */
export function nodeProtocol(node: string, what: string, answer: string, cause?: unknown): VolleyError {
  const shown = JSON.stringify(answer.length > 80 ? `${answer.slice(0, 77)}…` : answer);
  const text = `node ${node} answered ${shown} to ${what}; is it a memcached?`;
  return new VolleyError('ERR_VOLLEY_PROTOCOL', text, { cause });
}

/** A node that wants to know who the client is. @param told whether it was told */
export function nodeAuth(node: string, told: boolean): VolleyError {
  const sources = 'VOLLEY_USER and VOLLEY_PASSWORD, or "user" and "password" of the config file';
  const text = told
    ? `does not take this user and password; check ${sources}`
    : `wants a user and a password; set ${sources}`;
  return new VolleyError('ERR_VOLLEY_AUTH', `node ${node} ${text}`);
}

/** A node that has no memory left for an item. */
export function nodeFull(node: string): VolleyError {
  const help = 'give it more memory (-m), remove images (volley rm) or add a node';
  return new VolleyError(
    'ERR_VOLLEY_NODE_FULL',
    `node ${node} is out of memory; ${help}; older images are whole, unless it is a memcached that evicts (no -M)`,
  );
}

/** A node whose item limit is below the size of an item. */
export function nodeItemLimit(node: string, itemBytes: number): VolleyError {
  const help = 'start it with a larger item limit (-I) or choose a smaller chunk size';
  const text = `node ${node} does not take items of ${itemBytes} bytes; ${help}`;
  return new VolleyError('ERR_VOLLEY_TOO_LARGE', text);
}
