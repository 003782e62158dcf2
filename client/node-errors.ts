import { isVolleyError, VolleyError } from '../src/errors.js';
import { systemWords } from '../src/system-error.js';
import { NoAddressError } from './dial-first.js';

const WORDS: Record<string, string> = {
  ECONNREFUSED: 'the connection was refused; is the node running there?',
  ECONNRESET: 'it reset the connection',
  EPIPE: 'it closed the connection',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no route to it',
  ENOTFOUND: 'its host name is not known',
  EAI_AGAIN: 'its host name could not be looked up',
};

const MIB = 1024 * 1024;
/** What memcached counts to an item beside its value, and more. */
const ITEM_HEAD_BYTES = 512;

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

/** What memcached, and Volley's node, say to who comes when their connection limit is reached; then they hang up. */
const TOO_MANY_CLIENTS = 'Too many open connections';

/** Whether an answer, or an error that quotes one, says that the node takes no more connections. */
export function isTooManyClients(text: string): boolean {
  return text.includes(TOO_MANY_CLIENTS);
}

/** The cause of nodeDown() for a node that takes no more connections. */
export class TooManyClientsError extends Error {}

/** What to do about a node that takes no more connections. */
export const RAISE_LIMIT =
  'end clients of it, or start it with a higher limit (-c, which is 1024 by default)';

/** A node that cannot be reached, that went away, or that takes no more connections. */
export function nodeDown(node: string, cause: unknown): VolleyError {
  if (isVolleyError(cause)) return cause;
  if (cause instanceof TooManyClientsError) {
    const text = `node ${node} is full of clients: it takes no more connections; ${RAISE_LIMIT}`;
    return new VolleyError('ERR_VOLLEY_NODE_BUSY', text, { cause });
  }
  const fault = tlsFault(node, cause);
  if (fault) return fault;
  if (cause instanceof NoAddressError) return noAddress(node, cause);
  const words = faultWords(cause);
  return new VolleyError('ERR_VOLLEY_NODE_DOWN', `node ${node} is down: ${words}`, { cause });
}

function faultWords(cause: unknown): string {
  return WORDS[(cause as NodeJS.ErrnoException)?.code ?? ''] ?? systemWords(cause);
}

/** A node of whose addresses none took a connection; the cause is what the first one said. */
function noAddress(node: string, { failures }: NoAddressError): VolleyError {
  const [first] = failures;
  const areAlike = failures.every(({ error }) => error.code === first!.error.code);
  const each = failures.map(({ address, error }) => `${faultWords(error)} (${address})`);
  const addresses = failures.map(({ address }) => address).join(', ');
  const where = failures.length > 1 ? ` (${addresses})` : '';
  const words = areAlike ? `${faultWords(first!.error)}${where}` : each.join(', ');
  return new VolleyError('ERR_VOLLEY_NODE_DOWN', `node ${node} is down: ${words}`, { cause: first!.error });
}

/** A node that did not take a connection in time. */
export function nodeUnreached(node: string, timeoutMs: number): VolleyError {
  const why = 'it is switched off, a firewall drops packets, or its queue of new connections is full';
  const help = 'a memcached at its limit (-c) without maxconns_fast looks so, too';
  const text = `node ${node} took no connection within ${timeoutMs} ms: ${why}; ${help}`;
  return new VolleyError('ERR_VOLLEY_TIMEOUT', text);
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

/** A node whose user may only read. */
export function nodeReadOnly(node: string): VolleyError {
  const sources = 'VOLLEY_USER and VOLLEY_PASSWORD, or the config file';
  const text = `node ${node} refuses: this user may only read there; take a user who may write (${sources})`;
  return new VolleyError('ERR_VOLLEY_AUTH', text);
}

/** The error for a line by which a node refuses a request, or answers what memcached would not. */
export function refusalError(node: string, what: string, line: string, itemBytes = 0): VolleyError {
  if (/^CLIENT_ERROR this user may only read/.test(line)) return nodeReadOnly(node);
  if (/^CLIENT_ERROR unauthenticated/.test(line)) return nodeAuth(node, false);
  if (isOutOfMemory(line)) return nodeFull(node);
  if (/^SERVER_ERROR .*too large/i.test(line)) return nodeItemLimit(node, itemBytes);
  return nodeProtocol(node, what, line);
}

/** A node that has no memory left. */
export class NodeFullError extends VolleyError {
  constructor(
    readonly node: string,
    message: string,
  ) {
    super('ERR_VOLLEY_NODE_FULL', message);
  }
}

/** A node that has no memory left for an item. */
export function nodeFull(node: string): NodeFullError {
  const help = 'give it more memory (-m), remove images (volley rm) or add a node';
  return new NodeFullError(
    node,
    `node ${node} is out of memory; ${help}; older images are whole, unless it is a memcached that evicts (no -M)`,
  );
}

/** A node whose item limit is below the size of an item. */
export function nodeItemLimit(node: string, itemBytes: number): VolleyError {
  const limit = `-I ${Math.ceil((itemBytes + ITEM_HEAD_BYTES) / MIB)}m`;
  const memcached = `memcached with ${limit} (from 512k on, -I has to be a multiple of 512k)`;
  const help = `start it with a larger item limit, ${memcached}, a Volley node with -I 1m, or choose a smaller chunk size`;
  const text = `node ${node} does not take items of ${itemBytes} bytes; ${help}`;
  return new VolleyError('ERR_VOLLEY_TOO_LARGE', text);
}

/** Whether an answer to a store says that the node is full. */
export function isOutOfMemory(line: string): boolean {
  return /^SERVER_ERROR .*out of memory/i.test(line);
}
