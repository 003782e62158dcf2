import type { Command } from 'commander';
import type { DeadNode, LiveNode } from '../../client/index.js';
import { chooseCredentials, chooseNodes } from '../../src/config.js';
import { chooseTls } from '../../src/tls-settings.js';
import { formatBytes } from '../../src/units.js';
import { addClusterOptions, type ClusterFlags } from '../cluster-command.js';
import { formatTable, printJson, printLines } from '../output.js';
import { withSignals } from '../signals.js';

const HEAD = ['NODE', 'SERVER', 'ITEMS', 'MEMORY', 'HITS', 'MISSES', 'TRANSPORT', 'EPOCH'];

/** `volley stats`: a line per storage node. */
export function register(program: Command): void {
  const command = program
    .command('stats')
    .description('tell what the storage nodes hold and how they can be read')
    .addHelpText('after', '\nThe exit code is 1 when a node does not answer.');
  addClusterOptions(command).action((flags: ClusterFlags) => run(flags));
}

async function run(flags: ClusterFlags): Promise<void> {
  const { inspectNodes } = await import('../../client/index.js');
  const { nodes } = chooseNodes(flags.nodes);
  const credentials = chooseCredentials();
  const tls = chooseTls(flags);
  const found = await withSignals((signal) => {
    return inspectNodes(nodes, flags.timeout, signal, credentials, tls);
  });
  const live = found.filter((node) => node.error === null);
  const dead = found.filter((node) => node.error !== null);
  if (flags.json) {
    printJson({ nodes: found });
  } else {
    printTable(live, dead);
  }
  if (dead.length > 0) process.exitCode = 1;
}

function printTable(live: readonly LiveNode[], dead: readonly DeadNode[]): void {
  if (live.length > 0) printLines(formatTable(HEAD, live.map(rowOf)));
  for (const node of live) {
    if (node.transport === 'tcp') printLines(`${node.name} is read over tcp: ${node.transportReason}`);
  }
  for (const { name, memoryNote } of live) if (memoryNote) printLines(`${name}: ${memoryNote}`);
  for (const { error } of dead) process.stderr.write(`volley: ${error.message}\n`);
}

function rowOf(node: LiveNode): string[] {
  const share = node.limitBytes > 0 ? ` (${Math.round((100 * node.bytes) / node.limitBytes)} %)` : '';
  return [
    node.name,
    `${node.kind} ${node.version}`,
    String(node.items),
    `${formatBytes(node.bytes)} of ${formatBytes(node.limitBytes)}${share}`,
    String(node.getHits),
    String(node.getMisses),
    node.transport,
    node.epoch ?? '-',
  ];
}
