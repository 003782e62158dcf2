import type { Command } from 'commander';
import type { ImageInfo } from '../../client/index.js';
import { quote } from '../../src/keys.js';
import { formatBytes } from '../../src/units.js';
import { addClusterOptions, type ClusterFlags, withCluster } from '../cluster-command.js';
import { formatTable, printJson, printLines } from '../output.js';

const ID_DIGITS = 12;

/** `volley images`: lists what the cluster holds. */
export function register(program: Command): void {
  const command = program.command('images').description('list the images that the cluster holds');
  addClusterOptions(command).action((flags: ClusterFlags) => run(flags));
}

async function run(flags: ClusterFlags): Promise<void> {
  await withCluster(flags, 'auto', async (cluster, signal) => {
    const images = await cluster.images(signal);
    if (flags.json) {
      printJson({ images });
      return;
    }
    if (images.length === 0) {
      printLines('no images; store one with: volley upload FILE');
      return;
    }
    const head = ['NAME', 'SIZE', 'CHUNKS', 'KIND', 'STORED (UTC)', 'ID'];
    printLines([formatTable(head, images.map(rowOf)), ...images.flatMap(troubleOf)].join('\n'));
  });
}

function rowOf(image: ImageInfo): string[] {
  const { name, key, bytes, chunks, chunkBytes, kind, createdMs, id, damaged, missingChunks } = image;
  const state = missingChunks ? 'incomplete' : kind!;
  return [
    name === null ? key : quote(name).slice(1, -1),
    bytes === null ? '?' : formatBytes(bytes),
    chunks === null ? '?' : `${chunks} × ${chunkBytes! / 1024} KiB`,
    damaged === null ? state : 'damaged',
    createdMs === null ? '?' : new Date(createdMs).toISOString().slice(0, 19).replace('T', ' '),
    id === null ? '?' : id.slice(0, ID_DIGITS),
  ];
}

/** What is wrong with an image, as lines. */
function troubleOf({ name, missingChunks, chunks, damaged }: ImageInfo): string[] {
  if (damaged !== null) return [`damaged: ${damaged}`];
  if (!missingChunks) return [];
  return [`incomplete: ${quote(name!)} has lost ${missingChunks} of ${chunks} chunks; upload it again`];
}
