import { basename } from 'node:path';
import type { Command } from 'commander';
import type { UploadReport, UploadSource } from '../../client/index.js';
import { VolleyError } from '../../src/errors.js';
import { quote } from '../../src/keys.js';
import { CHUNK_BYTES_DEFAULT } from '../../src/manifest.js';
import { formatBytes } from '../../src/units.js';
import { addClusterOptions, type ClusterFlags, withCluster } from '../cluster-command.js';
import { printJson, printLines, startProgress } from '../output.js';
import { parseBytes } from '../values.js';

interface UploadFlags extends ClusterFlags {
  name?: string;
  chunkSize: number;
  kernel?: boolean;
  resend?: boolean;
}

/** What is to be uploaded, and how. */
interface Material {
  source: UploadSource;
  kind: 'raw' | 'kernel';
  note: string | null;
  fixedAddressReason: string | null;
}

const EXAMPLES = `
Examples:
  volley upload disk.img
  volley upload /boot/vmlinuz --kernel --name debian-kernel
  zstd -dc snapshot.zst | volley upload - --name snapshot

Chunks that the nodes hold already are not sent, so an upload that was interrupted goes on where it was.`;

/** `volley upload`: stores a file, or what comes on stdin, as an image. */
export function register(program: Command): void {
  const command = program
    .command('upload')
    .description('store a file as an image')
    .argument('<file>', 'the file; - reads stdin')
    .option('--name <name>', "the image's name (default: the file's name)")
    .option('--chunk-size <size>', 'a power of two from 4k to 1M', parseBytes, CHUNK_BYTES_DEFAULT)
    .option('--kernel', 'the file is a bzImage: store it unpacked, as vmlinux segments')
    .option('--resend', 'send all chunks, also those that the nodes hold: heals corrupt ones')
    .addHelpText('after', EXAMPLES);
  addClusterOptions(command).action((file: string, flags: UploadFlags) => run(file, flags));
}

async function run(file: string, flags: UploadFlags): Promise<void> {
  if (file === '-' && flags.name === undefined) {
    throw new VolleyError('ERR_VOLLEY_USAGE', 'what comes on stdin has no name; give one with --name');
  }
  if (file === '-' && flags.kernel) {
    throw new VolleyError('ERR_VOLLEY_USAGE', '--kernel needs a file, it cannot read stdin');
  }
  const name = flags.name ?? basename(file);
  await withCluster(flags, 'tcp', async (cluster, signal) => {
    const { source, kind, note, fixedAddressReason } = await materialOf(file, flags, signal);
    const progress = startProgress('upload', flags.json === true);
    try {
      const onProgress = ({ bytes, totalBytes }: { bytes: number; totalBytes: number | null }) =>
        progress.update(bytes, totalBytes);
      const { chunkSize: chunkBytes, resend } = flags;
      const options = { name, kind, chunkBytes, resend, signal, onProgress };
      const report = await cluster.upload(source, options);
      progress.stop();
      if (flags.json) printJson({ ...report, kind, note, fixedAddressReason });
      else printReport(report, [note, fixedAddressReason && `guests get no KASLR: ${fixedAddressReason}`]);
    } finally {
      progress.stop();
    }
  });
}

async function materialOf(file: string, flags: UploadFlags, signal: AbortSignal): Promise<Material> {
  const asItIs = { kind: 'raw', note: null, fixedAddressReason: null } as const;
  if (file === '-') return { ...asItIs, source: process.stdin };
  if (!flags.kernel) return { ...asItIs, source: file };
  const { prepareKernel } = await import('../../hypervisor-shim/kernel.js');
  return prepareKernel(file, { signal });
}

function printReport(report: UploadReport, notes: (string | null)[]): void {
  const { name, bytes, chunks, chunkBytes, seconds, gbPerSecond, nodes } = report;
  const size = `${formatBytes(bytes)}, ${chunks} chunks of ${chunkBytes / 1024} KiB`;
  const sent = `sent ${report.sentChunks} chunks (${formatBytes(report.sentBytes)})`;
  const saved = `there already ${report.presentChunks}, repeated ${report.duplicateChunks}, zeros ${report.zeroChunks}`;
  printLines(
    `stored ${quote(name)}: ${size} in ${seconds.toFixed(2)} s, ${gbPerSecond.toFixed(2)} GB/s`,
    `  ${sent}, ${saved}`,
    ...nodes.map((node) => `  ${node.name}: sent ${node.sentChunks} chunks (${formatBytes(node.sentBytes)})`),
    ...(report.replaced ? ['  replaced the image that had this name'] : []),
    ...notes.flatMap((note) => (note ? [`  ${note}`] : [])),
  );
}
