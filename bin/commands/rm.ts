import type { Command } from 'commander';
import { ORPHAN_AGE_DEFAULT_S } from '../../client/orphans.js';
import { VolleyError } from '../../src/errors.js';
import { quote } from '../../src/keys.js';
import { formatBytes, formatDuration } from '../../src/units.js';
import { addClusterOptions, type ClusterFlags, withCluster } from '../cluster-command.js';
import { printJson, printLines } from '../output.js';
import { parseWholeSeconds } from '../values.js';

interface RmFlags extends ClusterFlags {
  orphans?: boolean;
  /** In seconds. */
  minAge?: number;
  gone?: string;
}

const EXAMPLES = `
Examples:
  volley rm disk.img                 remove an image; chunks that other images use stay
  volley rm --orphans                remove chunks that no image uses, left by interrupted uploads and replaced images
  volley rm --orphans --min-age 0    also those that an upload under way may be about to use`;

/** `volley rm`: removes an image, or chunks that belong to none. */
export function register(program: Command): void {
  const command = program
    .command('rm')
    .description('remove an image, or chunks that no image uses')
    .argument('[name]', "the image's name")
    .option('--orphans', 'remove chunks that no image uses')
    .option(
      '--min-age <time>',
      `with --orphans: leave chunks touched more lately than that (default: ${formatDuration(ORPHAN_AGE_DEFAULT_S * 1000)})`,
      parseWholeSeconds,
    )
    .option(
      '--gone <list>',
      'nodes that are gone for good, which images were stored with; separated by commas',
    )
    .addHelpText('after', EXAMPLES);
  addClusterOptions(command).action((name: string | undefined, flags: RmFlags) => run(name, flags));
}

async function run(name: string | undefined, flags: RmFlags): Promise<void> {
  if ((name === undefined) === (flags.orphans !== true)) {
    throw new VolleyError('ERR_VOLLEY_USAGE', 'give either the name of an image or --orphans');
  }
  if (flags.minAge !== undefined && !flags.orphans) {
    throw new VolleyError('ERR_VOLLEY_USAGE', '--min-age goes with --orphans');
  }
  if (name === undefined) await removeOrphans(flags);
  else await removeImage(name, flags);
}

async function removeImage(name: string, flags: RmFlags): Promise<void> {
  await withCluster(flags, 'auto', async (cluster, signal) => {
    const report = await cluster.remove(name, signal, { goneNodes: goneOf(flags) });
    if (flags.json) {
      printJson(report);
      return;
    }
    const { removedChunks, removedBytes, freedWithinSeconds, sharedChunks, missingChunks, keptReason } =
      report;
    printLines(
      `removed ${quote(name)}: frees ${removedChunks} chunks (${formatBytes(removedBytes)})${within(freedWithinSeconds)}`,
      ...(sharedChunks > 0 ? [`  ${sharedChunks} chunks stay, other images use them`] : []),
      ...(missingChunks > 0 ? [`  ${missingChunks} chunks of it were not there any more`] : []),
      ...(keptReason ? [`  its chunks stay: ${keptReason}`] : []),
    );
  });
}

async function removeOrphans(flags: RmFlags): Promise<void> {
  const minAgeS = flags.minAge ?? ORPHAN_AGE_DEFAULT_S;
  await withCluster(flags, 'auto', async (cluster, signal) => {
    const report = await cluster.removeOrphans(minAgeS, signal, { goneNodes: goneOf(flags) });
    if (flags.json) {
      printJson(report);
      return;
    }
    const { removedChunks, youngChunks, freedWithinSeconds, keptReason } = report;
    const young = `${youngChunks} more were touched in the last ${minAgeS} s, an upload may be about to use them`;
    printLines(
      `removed ${removedChunks} chunks that no image uses${within(freedWithinSeconds)}`,
      ...(keptReason ? [`  chunks stay: ${keptReason}`] : []),
      ...(youngChunks > 0 ? [`  ${young}; --min-age 0 removes them too`] : []),
    );
  });
}

function goneOf({ gone }: RmFlags): string[] {
  return gone === undefined ? [] : gone.split(',');
}

function within(seconds: number): string {
  return seconds > 0 ? ` within ${seconds} s` : '';
}
