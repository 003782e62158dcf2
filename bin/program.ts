import { Command } from 'commander';
import { register as registerBoot } from './commands/boot.js';
import { register as registerDoctor } from './commands/doctor.js';
import { register as registerImages } from './commands/images.js';
import { register as registerLoad } from './commands/load.js';
import { register as registerNode } from './commands/node.js';
import { register as registerRm } from './commands/rm.js';
import { register as registerStats } from './commands/stats.js';
import { register as registerUpload } from './commands/upload.js';
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

/** The whole command line: what `volley` parses, and what manual page and completion are made from. */
export function program(): Command {
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
