// Writes what is made from the command's definitions into a folder: volley.1, the manual page, and volley.bash, the
// completion.
//
//   node dist/packaging/generate.js FOLDER
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { program } from '../bin/program.js';
import { ROOT } from '../src/root.js';
import { bashCompletion } from './bash-completion.js';
import { describeCommandLine } from './command-line.js';
import { manPage } from './man-page.js';

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  process.stderr.write('usage: node dist/packaging/generate.js FOLDER\n');
  process.exit(2);
}
const commandLine = describeCommandLine(program());
const template = readFileSync(join(ROOT, 'packaging', 'volley.1.in'), 'utf8');
writeFileSync(join(folder, 'volley.1'), manPage(template, commandLine));
writeFileSync(join(folder, 'volley.bash'), bashCompletion(commandLine));
