import * as assert from 'uvu/assert';
import type { VolleyError, VolleyErrorCode } from '../../src/errors.js';

/** Waits for work to fail with that code; checks that the message is one line that holds each of the words. */
export async function rejects(
  work: Promise<unknown>,
  code: VolleyErrorCode,
  ...words: string[]
): Promise<VolleyError> {
  const error = await work.then(
    (value) => new Error(`it did not fail but gave ${JSON.stringify(value)?.slice(0, 200)}`),
    (reason) => reason,
  );
  assert.is((error as VolleyError).code, code, String(error));
  assert.not.match(error.message, /\n/);
  for (const word of words)
    assert.ok(error.message.includes(word), `"${error.message}" does not tell "${word}"`);
  return error as VolleyError;
}
