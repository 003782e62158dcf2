import { VolleyError } from '../src/errors.js';
import { systemWords } from '../src/system-error.js';
import { exit } from './exit.js';
import { reportError } from './report-error.js';

let isNeededWhole = false;

/** Ends the process when its output cannot be written. */
export function watchStdout(): void {
  process.stdout.on('error', onError);
}

/** From now on a reader of stdout that goes away early leaves something unfinished, as with an image that is piped. */
export function needStdoutWhole(): void {
  isNeededWhole = true;
}

function onError(error: NodeJS.ErrnoException): void {
  // The stream was given up with work that was interrupted, which tells so itself.
  if (error.name === 'AbortError') return;
  // Who reads a table or a document may stop when it has seen enough, as head does.
  if (error.code === 'EPIPE' && !isNeededWhole) exit(1);
  const words = error.code === 'EPIPE' ? 'who read it has gone' : systemWords(error);
  const message = `cannot write to stdout: ${words}; not all of the output is there`;
  exit(reportError(new VolleyError('ERR_VOLLEY_FILE', message, { cause: error }), false));
}
