import { CommanderError } from 'commander';
import { commandArguments } from './arguments.js';
import { exit } from './exit.js';
import { program } from './program.js';
import { reportError } from './report-error.js';
import { watchStdout } from './stdout.js';

/** Runs the command line and ends the process with its exit code. */
async function main(): Promise<never> {
  watchStdout();
  // Nobody reads what is told there any more: no reason for a storage node to end.
  process.stderr.on('error', () => {});
  try {
    await program().parseAsync(commandArguments(), { from: 'user' });
    // A write that failed is told in a turn of its own.
    await new Promise((resolve) => setImmediate(resolve));
  } catch (error) {
    if (error instanceof CommanderError) exit(error.exitCode === 0 ? 0 : 2);
    exit(reportError(error, process.argv.includes('--json')));
  }
  exit(Number(process.exitCode ?? 0));
}

await main();
