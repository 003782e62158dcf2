import { Command, CommanderError } from 'commander';
import { VolleyError } from '../src/errors.js';
import { systemWords } from '../src/system-error.js';
import { register as registerBoot } from './commands/boot.js';
import { register as registerDoctor } from './commands/doctor.js';
import { register as registerImages } from './commands/images.js';
import { register as registerLoad } from './commands/load.js';
import { register as registerNode } from './commands/node.js';
import { register as registerRm } from './commands/rm.js';
import { register as registerStats } from './commands/stats.js';
import { register as registerUpload } from './commands/upload.js';
import { reportError } from './report-error.js';
import { version } from './version.js';

const EXAMPLES = `
Examples:
  volley node -m 4G                          run a storage node on this host
  volley upload disk.img                     store an image in the cluster
  volley images                              list what is stored
  volley load disk.img --out copy.img        read it back, every chunk verified
  volley boot --kernel k --initrd i          boot a guest out of the nodes' memory

Storage nodes: --nodes host:port,…, else $VOLLEY_NODES, else "nodes" in ~/.config/volley/config.json
(or $VOLLEY_CONFIG), else 127.0.0.1:11211.
Exit codes: 0 success, 1 failure, 2 wrong usage.`;

function program(): Command {
  const command = new Command('volley')
    .description("Boots fleets of virtual machines out of other machines' memory.")
    .version(version())
    .addHelpText('after', EXAMPLES)
    .showHelpAfterError('(see: volley --help)')
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'volley: ')),
    });
  for (const register of [
    registerNode,
    registerUpload,
    registerImages,
    registerRm,
    registerLoad,
    registerBoot,
    registerStats,
    registerDoctor,
  ]) {
    register(command);
  }
  return command;
}

/** Ends the process when its output cannot be written. */
function onStdoutError(error: NodeJS.ErrnoException): void {
  // The stream was given up with work that was interrupted, which tells so itself.
  if (error.name === 'AbortError') return;
  // Whoever read our output has gone: nothing is left to be said to it.
  if (error.code === 'EPIPE') process.exit(1);
  const words = `cannot write to stdout: ${systemWords(error)}; not all of the output is there`;
  process.exit(reportError(new VolleyError('ERR_VOLLEY_FILE', words, { cause: error }), false));
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
    if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2);
    process.exit(reportError(error, process.argv.includes('--json')));
  }
  process.exit(process.exitCode ?? 0);
}

await main();
