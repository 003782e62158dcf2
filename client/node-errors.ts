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

/** A node that cannot be reached, or that went away. */
export function nodeDown(node: string, cause: unknown): VolleyError {
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
