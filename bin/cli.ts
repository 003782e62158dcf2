import { CommanderError } from 'commander';
import { VolleyError } from '../src/errors.js';
import { systemWords } from '../src/system-error.js';
import { exit } from './exit.js';
import { program } from './program.js';
import { reportError } from './report-error.js';

/** Ends the process when its output cannot be written. */
function onStdoutError(error: NodeJS.ErrnoException): void {
  // The stream was given up with work that was interrupted, which tells so itself.
  if (error.name === 'AbortError') return;
  // Whoever read our output has gone: nothing is left to be said to it.
  if (error.code === 'EPIPE') exit(1);
  const words = `cannot write to stdout: ${systemWords(error)}; not all of the output is there`;
  exit(reportError(new VolleyError('ERR_VOLLEY_FILE', words, { cause: error }), false));
}

/** Runs the command line and ends the process with its exit code. */
async function main(): Promise<never> {
  process.stdout.on('error', onStdoutError);
  // Nobody reads what is told there any more: no reason for a storage node to end.
  process.stderr.on('error', () => {});
  try {
    await program().parseAsync();
    // A write that failed is told in a turn of its own.
    await new Promise((resolve) => setImmediate(resolve));
  } catch (error) {
    if (error instanceof CommanderError) exit(error.exitCode === 0 ? 0 : 2);
    exit(reportError(error, process.argv.includes('--json')));
  }
  exit(Number(process.exitCode ?? 0));
}

await main();
