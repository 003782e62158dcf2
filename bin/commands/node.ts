import { rmSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { Option } from 'commander';
import type { StorageNode } from '../../server/index.js';
import { VolleyError } from '../../src/errors.js';
import { pathOf } from '../../src/file-path.js';
import { systemWords } from '../../src/system-error.js';
import { exit } from '../exit.js';
import { configure, formatConfiguration } from '../node/configuration.js';
import { readExtendedOptions } from '../node/extended-options.js';
import { FOREIGN_FLAGS, type ForeignFlag, judgeForeignFlag } from '../node/memcached-flags.js';
import type { Given, Setting } from '../node/setting.js';
import { SETTINGS, settingOf } from '../node/settings.js';
import { printJson, printLines } from '../output.js';
import { tellReady } from '../service-manager.js';
import { parsePath } from '../values.js';

const MIB = 1024 * 1024;
const INTERRUPTED_EXIT = 1;
const AFTERWARDS = `
Each setting is also a key of "node" in the config file and a variable of the environment: --memory-limit, "memory-limit",
VOLLEY_NODE_MEMORY_LIMIT. A flag counts more than the environment, that more than the file; --dump-config tells what is in
effect and why. memcached's other flags are understood, and refused where they ask for what a node does not do.
SIGTERM, SIGINT and SIGUSR1 end the node when commands under way are answered, a second SIGTERM or SIGINT at once; SIGHUP reads
the auth file and the certificates anew.`;

/** What the command line told. */
interface CommandLine {
  given: Given[];
  notes: string[];
  config?: string;
  dumpConfig?: boolean;
  pidfile?: string;
  json?: boolean;
}

/** `volley node`: runs a storage node until SIGTERM or SIGINT. */
export function register(program: Command): void {
  const command = program.command('node').description('run a storage node until SIGTERM or SIGINT');
  const line: CommandLine = { given: [], notes: [] };
  for (const setting of SETTINGS) addSetting(command, setting, line);
  for (const flag of FOREIGN_FLAGS) {
    const option = new Option(flag.flags).hideHelp();
    command.addOption(option);
    command.on(`option:${option.name()}`, (value?: string | null) => addForeign(flag, value ?? null, line));
  }
  command
    .option(
      '-o, --extended <options>',
      "memcached's -o: idle_timeout=SECONDS, ssl_chain_cert=FILE, ssl_key=FILE…",
    )
    .option('-P, --pidfile <file>', 'keep the process id in this file while the node runs', parsePath)
    .option('--config <file>', 'config file (default: $VOLLEY_CONFIG, else ~/.config/volley/config.json)')
    .option('--dump-config', 'print the configuration that is in effect, and where each value comes from')
    .option('--json', 'print one JSON line when ready')
    .addHelpText('after', AFTERWARDS)
    .on('option:extended', (list: string) => addExtended(list, line))
    .action((flags: Omit<CommandLine, 'given' | 'notes'>) => run({ ...flags, ...line }));
}

function addSetting(command: Command, setting: Setting, line: CommandLine): void {
  const { name, letter, value, help, byDefault } = setting;
  const names = letter ? `-${letter}, --${name}` : `--${name}`;
  const text = byDefault === undefined ? help : `${help} (default: ${byDefault})`;
  const option = new Option(value === null ? names : `${names} <${value}>`, text);
  command.addOption(option);
  const origin = letter ? `-${letter}` : `--${name}`;
  let count = 0;
  command.on(`option:${option.name()}`, (given: string | null) => {
    count++;
    const counted = name === 'verbose' ? String(count) : 'on';
    line.given.push({ setting, text: given ?? counted, origin, source: 'flag' });
  });
}

function addForeign(flag: ForeignFlag, value: string | null, line: CommandLine): void {
  if (flag.setting) {
    const { name, text = value! } = flag.setting;
    line.given.push({ setting: settingOf(name)!, text, origin: flag.flags.slice(0, 2), source: 'flag' });
    return;
  }
  const note = judgeForeignFlag(flag, value);
  if (note !== null) line.notes.push(note);
}

function addExtended(list: string, line: CommandLine): void {
  const { settings, notes } = readExtendedOptions(list);
  line.notes.push(...notes);
  for (const { name, text, origin } of settings) {
    line.given.push({ setting: settingOf(name)!, text, origin, source: 'flag' });
  }
}

async function run(line: CommandLine): Promise<void> {
  const { asked, effective } = configure(line.given, process.env, line.config);
  if (line.dumpConfig) {
    if (line.json) printJson({ settings: effective });
    else printLines(...formatConfiguration(effective));
    return;
  }
  // Only here: the other commands need nothing of it.
  const { StorageNode } = await import('../../server/index.js');
  const node = new StorageNode(asked);
  for (const note of line.notes) node.log.warn(note);
  const ended = endOf(node);
  await node.start();
  if (line.pidfile) writePid(line.pidfile);
  try {
    process.stdout.write(line.json ? jsonLine(node) : readyLine(node));
    const untold = await tellReady();
    if (untold !== null) node.log.warn(untold);
    if (node.notice !== null) node.log.warn(node.notice);
    if (node.restored !== null) node.log.warn(node.restored, 'took up the items of the region file');
    await ended;
    await node.stop();
  } finally {
    if (line.pidfile) rmSync(pathOf(line.pidfile), { force: true });
  }
}

/**
 * Resolves at the first SIGTERM, SIGINT or SIGUSR1; a further SIGTERM or SIGINT ends the process. SIGHUP makes the node read its files
 * anew.
 */
function endOf(node: StorageNode): Promise<void> {
  return new Promise((resolve) => {
    let isEnding = false;
    const end = (name: NodeJS.Signals) => {
      if (!isEnding) node.log.info({ signal: name }, 'stopping');
      isEnding = true;
      resolve();
    };
    const onSignal = (name: NodeJS.Signals) => {
      if (isEnding) exit(INTERRUPTED_EXIT);
      end(name);
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
    // memcached's signal for a graceful end, which it is told by who wants to keep the memory file (-e).
    process.on('SIGUSR1', end);
    process.on('SIGHUP', () => node.reload());
  });
}

function writePid(path: string): void {
  try {
    writeFileSync(pathOf(path), `${process.pid}\n`);
    process.once('exit', () => rmSync(pathOf(path), { force: true }));
  } catch (error) {
    const words = `cannot write the pidfile ${path}: ${systemWords(error)}; give another path with -P`;
    throw new VolleyError('ERR_VOLLEY_FILE', words, { cause: error });
  }
}

function readyLine(node: StorageNode): string {
  const { memoryBytes } = node.options;
  const local = node.localPath === null ? 'local off' : `local ${node.localPath}`;
  const memory = `${Math.ceil(memoryBytes / MIB)} MiB`;
  const { offer } = node.fabric;
  const fabric = offer === null ? '' : `, fabric ${offer.provider} port ${offer.port}`;
  return `volley node ${node.name} listening on ${node.place}, ${memory}, ${local}${fabric}\n`;
}

function jsonLine(node: StorageNode): string {
  const { name, port, epoch, notice, restored, metricsPort } = node;
  const { address, socketPath, memoryBytes } = node.options;
  const line = {
    event: 'listening',
    name,
    address,
    port,
    socketPath,
    pid: process.pid,
    local: node.localPath,
    epoch,
    memoryBytes,
    metricsPort,
    notice,
    restored,
  };
  return `${JSON.stringify(line)}\n`;
}
