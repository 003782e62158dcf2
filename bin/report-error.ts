import { isVolleyError } from '../src/errors.js';
import { escapeUnshown } from '../src/keys.js';

const USAGE_EXIT = 2;
const FAILURE_EXIT = 1;

/**
 * Tells the user of an error, in one line on stderr, and with `json` also as the command's one document on stdout.
 * VOLLEY_DEBUG in the environment adds the stack.
 * @returns the exit code
 */
export function reportError(error: unknown, json: boolean): number {
  const text = error instanceof Error ? error.message : String(error);
  const message = escapeUnshown(text.replace(/\s*\n\s*/g, ' '));
  const code = isVolleyError(error) ? error.code : 'ERR_VOLLEY_UNEXPECTED';
  const words = isVolleyError(error) ? message : `unexpected error: ${message}; VOLLEY_DEBUG=1 shows where`;
  if (json) process.stdout.write(`${JSON.stringify({ error: { code, message } }, null, 2)}\n`);
  process.stderr.write(`volley: ${words}\n`);
  if (process.env.VOLLEY_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return code === 'ERR_VOLLEY_USAGE' ? USAGE_EXIT : FAILURE_EXIT;
}
