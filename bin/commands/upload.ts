import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import type { ClusterNode, UploadReport, UploadSource } from '../../client/index.js';
import { mOf } from '../../client/stock-memory.js';
import type { InitrdInspection } from '../../hypervisor-shim/initrd/index.js';
import { VolleyError } from '../../src/errors.js';
import { isUtf8Path } from '../../src/file-path.js';
import { quote } from '../../src/keys.js';
import { CHUNK_BYTES_DEFAULT } from '../../src/manifest.js';
import { formatBytes, formatSize } from '../../src/units.js';
import { addClusterOptions, type ClusterFlags, withCluster } from '../cluster-command.js';
import { printJson, printLines, startProgress } from '../output.js';
import { parseBytes, parsePath } from '../values.js';

interface UploadFlags extends ClusterFlags {
  name?: string;
  chunkSize: number;
  kernel?: boolean;
  initrd?: boolean;
  resend?: boolean;
  roomCheck: boolean;
}

/** What is to be uploaded, and how. */
interface Material {
  source: UploadSource;
  kind: 'raw' | 'kernel';
  note: string | null;
  fixedAddressReason: string | null;
  /** What it is when it is an initrd: known when the source has been read. */
  inspection: Promise<InitrdInspection>;
}

/** So many nodes are named where an upload begins. */
const DESTINATIONS_MAX = 4;

const EXAMPLES = `
Examples:
  volley upload disk.img
  volley upload /boot/vmlinuz --kernel --name debian-kernel
  zstd -dc snapshot.zst | volley upload - --name snapshot

A file that begins as an initrd does, with a cpio archive, packed or not, is looked at for what Linux would refuse to
unpack, and a warning says so.

Chunks that the nodes hold already are not sent, so an upload that was interrupted goes on where it was.`;

/** `volley upload`: stores a file, or what comes on stdin, as an image. */
export function register(program: Command): void {
  const command = program
    .command('upload')
    .description('store a file as an image')
    .argument('<file>', 'the file; - reads stdin', parsePath)
    .option('--name <name>', "the image's name (default: the file's name)")
    .addOption(
      new Option('--chunk-size <size>', 'a power of two from 4k to 1M')
        .argParser(parseBytes)
        .default(CHUNK_BYTES_DEFAULT, formatSize(CHUNK_BYTES_DEFAULT)),
    )
    .option('--kernel', 'the file is a bzImage: store it unpacked, as vmlinux segments')
    .option('--initrd', 'the file is an initrd: warn of whatever Linux would not unpack')
    .option('--resend', 'send all chunks, also those that the nodes hold: heals corrupt ones')
    .option('--no-room-check', 'try also when a stock memcached has too little room by its own figures')
    .addHelpText('after', EXAMPLES);
  addClusterOptions(command).action((file: string, flags: UploadFlags) => run(file, flags));
}

async function run(file: string, flags: UploadFlags): Promise<void> {
  if (file === '-' && flags.name === undefined) {
    throw new VolleyError('ERR_VOLLEY_USAGE', 'what comes on stdin has no name; give one with --name');
  }
  if (flags.initrd && flags.kernel) {
    throw new VolleyError('ERR_VOLLEY_USAGE', 'a file is a kernel or an initrd; give --kernel or --initrd');
  }
  if (file === '-' && flags.kernel) {
    throw new VolleyError('ERR_VOLLEY_USAGE', '--kernel needs a file, it cannot read stdin');
  }
  const name = flags.name ?? nameOf(file);
  await withCluster(flags, 'tcp', async (cluster, signal) => {
    const { source, kind, note, fixedAddressReason, inspection } = await materialOf(
      file,
      name,
      flags,
      signal,
    );
    const progress = startProgress('upload', flags.json === true);
    const onNotice = (text: string) => {
      if (!flags.json) process.stderr.write(`volley: ${text}\n`);
    };
    try {
      const onProgress = ({ bytes, totalBytes }: { bytes: number; totalBytes: number | null }) =>
        progress.update(bytes, totalBytes);
      const { chunkSize: chunkBytes, resend, roomCheck: checkRoom } = flags;
      const options = { name, kind, chunkBytes, resend, checkRoom, signal, onProgress, onNotice };
      const report = await cluster.upload(source, options);
      progress.stop();
      const initrd = await inspection;
      for (const words of initrd.warnings) process.stderr.write(`volley: warning: ${words}\n`);
      if (flags.json)
        printJson({
          ...report,
          kind,
          note,
          fixedAddressReason,
          initrdParts: initrd.parts,
          warnings: initrd.warnings,
        });
      else
        printReport(report, destinationOf(cluster.nodes), [
          note,
          fixedAddressReason && `guests get no KASLR: ${fixedAddressReason}`,
          initrd.parts.length > 0 ? `an initrd: ${initrd.parts.join(', ')}` : null,
        ]);
    } finally {
      progress.stop();
    }
  });
}

/** The image's name where none is given: the file's. */
function nameOf(file: string): string {
  const name = basename(file);
  if (isUtf8Path(name)) return name;
  const words = `the file's name ${quote(name)} is not UTF-8, which the name of an image is; give one with --name`;
  throw new VolleyError('ERR_VOLLEY_USAGE', words);
}

/** Where an image goes that does not go to Volley nodes alone: another memcached may listen where a node was expected. */
function destinationOf(nodes: readonly ClusterNode[]): string {
  const stock = nodes.filter(({ volley }) => volley === null);
  if (stock.length === 0) return '';
  const kind = stock.length === 1 ? 'a stock memcached' : 'stock memcacheds';
  const each = stock.slice(0, DESTINATIONS_MAX).map(({ name, version, limitBytes }) => {
    return `${name} (${version}, -m ${mOf(limitBytes)})`;
  });
  const more = stock.length > DESTINATIONS_MAX ? ` and ${stock.length - DESTINATIONS_MAX} more` : '';
  return `, to ${kind}: ${each.join(', ')}${more}`;
}

async function materialOf(
  file: string,
  name: string,
  flags: UploadFlags,
  signal: AbortSignal,
): Promise<Material> {
  if (flags.kernel) {
    const { prepareKernel } = await import('../../hypervisor-shim/kernel.js');
    return {
      ...(await prepareKernel(file, { signal })),
      inspection: Promise.resolve({ parts: [], warnings: [] }),
    };
  }
  const { inspectInitrdFile, InitrdStream, NO_INITRD } = await import(
    '../../hypervisor-shim/initrd/index.js'
  );
  const asItIs = { kind: 'raw', note: null, fixedAddressReason: null } as const;
  const hints = { isInitrd: flags.initrd === true, name };
  if (file === '-') {
    const stream = new InitrdStream(process.stdin, hints);
    return { ...asItIs, source: stream.source, inspection: stream.inspection };
  }
  // What cannot be read is the upload's to say.
  const inspection = inspectInitrdFile(file, hints).catch(() => NO_INITRD);
  return { ...asItIs, source: file, inspection };
}

function printReport(report: UploadReport, destination: string, notes: (string | null)[]): void {
  const { name, bytes, chunks, chunkBytes, seconds, gbPerSecond, nodes } = report;
  const size = `${formatBytes(bytes)}, ${chunks} chunks of ${chunkBytes / 1024} KiB`;
  const sent = `sent ${report.sentChunks} chunks (${formatBytes(report.sentBytes)})`;
  const saved = `there already ${report.presentChunks}, repeated ${report.duplicateChunks}, zeros ${report.zeroChunks}`;
  printLines(
    `stored ${quote(name)}: ${size} in ${seconds.toFixed(2)} s, ${gbPerSecond.toFixed(2)} GB/s${destination}`,
    `  ${sent}, ${saved}`,
    ...nodes.map((node) => `  ${node.name}: sent ${node.sentChunks} chunks (${formatBytes(node.sentBytes)})`),
    ...(report.replaced ? ['  replaced the image that had this name'] : []),
    ...notes.flatMap((note) => (note ? [`  ${note}`] : [])),
  );
}
