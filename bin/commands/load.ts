import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { throwIfAborted } from '../../client/deadline.js';
import type { Cluster, GuestMemory, LoadReport, Manifest, WantedTransport } from '../../client/index.js';
import { VolleyError } from '../../src/errors.js';
import { escapeUnshown, quote } from '../../src/keys.js';
import { native } from '../../src/native.js';
import { formatBytes, formatMs } from '../../src/units.js';
import {
  addClusterOptions,
  addTransportOptions,
  type ClusterFlags,
  withCluster,
} from '../cluster-command.js';
import { dataRuns } from '../out/data-runs.js';
import { OutputFile } from '../out/output-file.js';
import { describeNodeLoad, printJson, printLines, startProgress } from '../output.js';
import { needStdoutWhole } from '../stdout.js';
import { parsePath } from '../values.js';

interface LoadFlags extends ClusterFlags {
  out: string;
  preallocate?: boolean;
  transport: WantedTransport;
}

/** Names of this process's stdout. */
const STDOUT: readonly string[] = ['-', '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1'];

const EXAMPLES = `
Examples:
  volley load disk.img --out copy.img
  volley load snapshot --out - | zstd > snapshot.zst     nothing is written before all of it is verified

A load that fails leaves no file, and leaves a file that was there before as it was. A file that is there is replaced: mode,
owner, ACL and other attributes stay. Where that cannot be (hard links, a mounted file, a folder that takes no new file) it
is written in place, once all of the image is verified; what ends the command then leaves it empty, or shorter than the image.`;

/** `volley load`: reads an image into a file or to stdout. */
export function register(program: Command): void {
  const command = program
    .command('load')
    .description('read an image into a file')
    .argument('<name>', "the image's name")
    .requiredOption('--out <file>', 'the file to write; - is stdout', parsePath)
    .option('--preallocate', 'take room for zeros as well; by default they are holes in the file')
    .addHelpText('after', EXAMPLES);
  addClusterOptions(addTransportOptions(command)).action((name: string, flags: LoadFlags) =>
    run(name, flags),
  );
}

async function run(name: string, flags: LoadFlags): Promise<void> {
  const isStdout = STDOUT.includes(flags.out);
  if (isStdout && flags.json) {
    throw new VolleyError(
      'ERR_VOLLEY_USAGE',
      `--json and --out ${flags.out} both want stdout; give --out a file`,
    );
  }
  await withCluster(flags, flags.transport, async (cluster, signal) => {
    const startMs = performance.now();
    const image = await cluster.open(name, signal);
    const manifestMs = performance.now() - startMs;
    const load = (memory: GuestMemory | null) => loadInto(cluster, image, memory, flags, signal);
    const { report, inPlace } = isStdout
      ? await toStdout(image, load, signal)
      : await toFile(image, load, flags);
    const { connectMs, tablesMs } = cluster.stages;
    const told = { ...report, id: image.id, stages: { connectMs, tablesMs, manifestMs, ...report.stages } };
    if (flags.json) printJson({ ...told, out: flags.out, inPlace });
    else if (!isStdout) printReport(told, flags.out, inPlace);
  });
}

/** What a load brought, and why it wrote over a file instead of replacing it, or null. */
interface Outcome {
  report: LoadReport;
  inPlace: string | null;
}

type Load = (memory: GuestMemory | null) => Promise<LoadReport>;

async function loadInto(
  cluster: Cluster,
  image: Manifest,
  memory: GuestMemory | null,
  flags: LoadFlags,
  signal: AbortSignal,
): Promise<LoadReport> {
  const progress = startProgress('load', flags.json === true);
  // An image of no bytes needs no memory, but a load has to be given some.
  const destination = memory ?? native().GuestMemory.create(1);
  try {
    return await cluster.load(image, {
      destination,
      destinationIsZero: true,
      readTimeoutMs: flags.timeout,
      signal,
      onProgress: ({ bytes, totalBytes }) => progress.update(bytes, totalBytes),
    });
  } finally {
    progress.stop();
    if (!memory) destination.close();
  }
}

async function toFile(image: Manifest, load: Load, { out, preallocate }: LoadFlags): Promise<Outcome> {
  const bytes = image.imageBytes;
  const runs = preallocate ? [{ offset: 0, length: bytes }] : dataRuns(image);
  const output = await OutputFile.create(out, { bytes, runs });
  let report: LoadReport;
  try {
    report = await load(output.memory);
  } catch (error) {
    await output.discard();
    throw error;
  }
  await output.commit();
  return { report, inPlace: output.inPlace };
}

async function toStdout(image: Manifest, load: Load, signal: AbortSignal): Promise<Outcome> {
  if (image.imageBytes === 0) return { report: await load(null), inPlace: null };
  const memory = native().GuestMemory.create(image.imageBytes);
  try {
    const report = await load(memory);
    const bytes = createReadStream('', {
      fd: memory.fd,
      start: 0,
      end: image.imageBytes - 1,
      autoClose: false,
    });
    needStdoutWhole();
    await pipeline(bytes, process.stdout, { signal });
    return { report, inPlace: null };
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  } finally {
    memory.close();
  }
}

function printReport(
  report: LoadReport & { stages: Record<string, number> },
  out: string,
  inPlace: string | null,
): void {
  const { name, bytes, chunks, seconds, gbPerSecond, nodes, stages, retries, checksumFailures } = report;
  const { nodeListDifference } = report;
  const zeros = `${report.zeroChunks} zeros, ${report.sharedChunks} shared`;
  const speed = `${seconds.toFixed(2)} s, ${gbPerSecond.toFixed(2)} GB/s`;
  const times = Object.entries(stages).map(([stage, ms]) => `${stage.replace(/Ms$/, '')} ${formatMs(ms)}`);
  const trouble = retries + checksumFailures > 0;
  printLines(
    `loaded ${quote(name)} into ${escapeUnshown(out)}: ${formatBytes(bytes)}, ${chunks} chunks (${zeros}) in ${speed}`,
    `  ${times.join(', ')}`,
    ...(nodeListDifference === null ? [] : [`  stored with the node list ${nodeListDifference}`]),
    ...(inPlace === null ? [] : [`  written in place: ${inPlace}`]),
    ...nodes.map(describeNodeLoad),
    ...(trouble
      ? [`  ${retries} reads were repeated, ${checksumFailures} chunks failed their checksum first`]
      : []),
  );
}
