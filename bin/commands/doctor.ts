import type { Command } from 'commander';
import { chooseTls } from '../../src/tls-settings.js';
import { addClusterOptions, type ClusterFlags } from '../cluster-command.js';
import type { Check } from '../doctor/check.js';
import type { FabricReport } from '../doctor/fabric.js';
import { formatTable, printJson, printLines } from '../output.js';

/** `volley doctor`: what this machine can do, and how to get what is missing. */
export function register(program: Command): void {
  const command = program
    .command('doctor')
    .description('tell what this machine can do, and how to get what it lacks')
    .addHelpText(
      'after',
      '\nThe exit code is 1 when something is missing without which a command does not work.',
    );
  addClusterOptions(command).action((flags: ClusterFlags) => run(flags));
}

async function run(flags: ClusterFlags): Promise<void> {
  const { checks, fabrics } = await examine(flags);
  const usable = checks.every(({ state }) => state !== 'missing');
  if (flags.json) {
    printJson({ usable, checks, fabrics });
  } else {
    printLines(formatTable(['WHAT', 'STATE', 'FOUND'], checks.map(rowOf)));
    await printFabrics(fabrics);
    const lacking = checks.filter(({ help }) => help !== null);
    if (lacking.length > 0) printLines('', 'To get what is lacking:');
    for (const { name, help } of lacking) printLines(`  ${name}: ${help}`);
  }
  if (!usable) process.exitCode = 1;
}

interface Findings {
  checks: Check[];
  /** Null where the native addon is not built. */
  fabrics: FabricReport | null;
}

async function examine(flags: ClusterFlags): Promise<Findings> {
  const { checkMemlock, checkHugepages } = await import('../doctor/memory.js');
  const { checkKvm, checkQemu, checkUnpackTools } = await import('../doctor/hypervisor.js');
  const { checkFabrics, fabricTransportCheck } = await import('../doctor/fabric.js');
  const { checkAddon, checkTransports } = await import('../doctor/transports.js');
  const { checkNodes } = await import('../doctor/nodes.js');
  const memlock = await checkMemlock();
  const addon = checkAddon();
  const fabrics = addon ? null : await checkFabrics(memlock);
  const checks = [
    ...(addon ? [addon] : []),
    ...(fabrics ? [...checkTransports(fabricTransportCheck(fabrics.report)), ...fabrics.checks] : []),
    memlock,
    await checkHugepages(),
    await checkQemu(),
    await checkKvm(),
    checkUnpackTools(),
    ...(await checkNodes(flags.nodes, flags.timeout, chooseTls(flags))),
  ];
  return { checks, fabrics: fabrics?.report ?? null };
}

async function printFabrics(fabrics: FabricReport | null): Promise<void> {
  if (!fabrics || fabrics.ways.length === 0) return;
  const { fabricRows } = await import('../doctor/fabric.js');
  const head = ['FABRIC', 'DEVICE', 'ENDPOINT', '--fabric auto', 'WHY'];
  printLines('', formatTable(head, fabricRows(fabrics)));
}

function rowOf({ name, state, detail }: Check): string[] {
  return [name, state, detail];
}
