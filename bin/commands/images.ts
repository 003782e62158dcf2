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
    printLines(formatTable(['NAME', 'SIZE', 'CHUNKS', 'KIND', 'STORED (UTC)', 'ID'], images.map(rowOf)));
    for (const { name, missingChunks, chunks } of images) {
      if (!missingChunks) continue;
      printLines(
        `incomplete: ${quote(name!)} has lost ${missingChunks} of ${chunks} chunks; upload it again`,
      );
    }
    const damaged = images.filter((image) => image.damaged !== null);
    for (const image of damaged) printLines(`damaged: ${image.damaged}`);
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
