import type { Command } from 'commander';
import { addClusterOptions, type ClusterFlags } from '../cluster-command.js';
import type { Check } from '../doctor/check.js';
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
  const checks = await examine(flags);
  const usable = checks.every(({ state }) => state !== 'missing');
  if (flags.json) {
    printJson({ usable, checks });
  } else {
    printLines(formatTable(['WHAT', 'STATE', 'FOUND'], checks.map(rowOf)));
    const lacking = checks.filter(({ help }) => help !== null);
    if (lacking.length > 0) printLines('', 'To get what is lacking:');
    for (const { name, help } of lacking) printLines(`  ${name}: ${help}`);
  }
  if (!usable) process.exitCode = 1;
}

async function examine(flags: ClusterFlags): Promise<Check[]> {
  const { checkMemlock, checkHugepages } = await import('../doctor/memory.js');
  const { checkKvm, checkQemu, checkUnpackTools } = await import('../doctor/hypervisor.js');
  const { checkLibfabric, checkRdmaDevices } = await import('../doctor/fabric.js');
  const { checkTransports } = await import('../doctor/transports.js');
  const { checkNodes } = await import('../doctor/nodes.js');
  const [libfabric, devices] = [await checkLibfabric(), await checkRdmaDevices()];
  return [
    ...checkTransports(libfabric, devices),
    libfabric,
    devices,
    await checkMemlock(),
    await checkHugepages(),
    await checkQemu(),
    await checkKvm(),
    checkUnpackTools(),
    ...(await checkNodes(flags.nodes, flags.timeout)),
  ];
}

function rowOf({ name, state, detail }: Check): string[] {
  return [name, state, detail];
}
