import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import { StorageNode } from '../../server/index.js';
import { parseSize } from '../../src/units.js';

const MIB = 1024 * 1024;

interface NodeFlags {
  listen: string;
  port: number;
  memory: string;
  connections: number;
  itemSize: string;
  verbose: number;
  name?: string;
  local: string;
  fabric: string;
  tableItems?: number;
  hugepages: 'auto' | 'off';
  quarantine: number;
  authFile?: string;
  json?: boolean;
}

/** `volley node`: runs a storage node until SIGTERM or SIGINT. */
export function register(program: Command): void {
  program
    .command('node')
    .description('run a storage node until SIGTERM or SIGINT')
    .option('-l, --listen <address>', 'IP address to listen on', '127.0.0.1')
    .option('-p, --port <port>', 'TCP port; 0 takes a free one', wholeNumber, 11211)
    .option('-m, --memory <size>', 'memory for values; a bare number is in MB', '64')
    .option('-c, --connections <count>', 'connections open at once', wholeNumber, 1024)
    .option('-I, --item-size <size>', 'longest value, at most 1M', '1M')
    .option('-v, --verbose', 'tell of connections on stderr', (_, count: number) => count + 1, 0)
    .option('--name <name>', 'what the node calls itself (default: address:port)')
    .option('--local <path>', 'unix socket that hands out the memory on this host, or auto, or off', 'auto')
    .option(
      '--fabric <provider>',
      'fabric to be read over: PROVIDER or PROVIDER/DEVICE (verbs, net…), or auto (devices only), or off',
      'auto',
    )
    .option(
      '--table-items <count>',
      'items that the hashtable has room for (default: one per 4k of memory)',
      wholeNumber,
    )
    .addOption(
      new Option('--hugepages <how>', 'whether to use hugepages').choices(['auto', 'off']).default('auto'),
    )
    .option(
      '--quarantine <ms>',
      'milliseconds that freed memory rests before it is reused',
      wholeNumber,
      1000,
    )
    .option('-Y, --auth-file <file>', 'have clients authenticate: lines of user:password, mode 600')
    .option('--json', 'print one JSON line when ready')
    .action((flags: NodeFlags) => run(flags));
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

async function run(flags: NodeFlags): Promise<void> {
  const node = new StorageNode({
    address: flags.listen,
    port: flags.port,
    memoryBytes: parseSize(flags.memory, '-m', MIB),
    maxConnections: flags.connections,
    itemSizeMax: parseSize(flags.itemSize, '-I'),
    verbosity: flags.verbose,
    name: flags.name,
    local: flags.local,
    fabric: flags.fabric,
    tableItems: flags.tableItems,
    hugepages: flags.hugepages,
    quarantineMs: flags.quarantine,
    authFile: flags.authFile,
  });
  const signal = new Promise<void>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve());
  });
  await node.start();
  process.stdout.write(flags.json ? jsonLine(node) : readyLine(node));
  if (node.notice !== null) process.stderr.write(`volley node: ${node.notice}\n`);
  await signal;
  await node.stop();
}

function readyLine(node: StorageNode): string {
  const { address, memoryBytes } = node.options;
  const local = node.localPath === null ? 'local off' : `local ${node.localPath}`;
  const memory = `${Math.ceil(memoryBytes / MIB)} MiB`;
  const { offer } = node.fabric;
  const fabric = offer === null ? '' : `, fabric ${offer.provider} port ${offer.port}`;
  return `volley node ${node.name} listening on ${address}:${node.port}, ${memory}, ${local}${fabric}\n`;
}

function jsonLine(node: StorageNode): string {
  const { name, port, epoch, notice } = node;
  const { address, memoryBytes } = node.options;
  const line = {
    event: 'listening',
    name,
    address,
    port,
    pid: process.pid,
    local: node.localPath,
    epoch,
    memoryBytes,
    notice,
  };
  return `${JSON.stringify(line)}\n`;
}
