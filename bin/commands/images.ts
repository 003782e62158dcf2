import type { Command } from 'commander';
import type { ImageInfo } from '../../client/index.js';
import { quote } from '../../src/keys.js';
import { formatBytes } from '../../src/units.js';
import { addClusterOptions, type ClusterFlags, withCluster } from '../cluster-command.js';
import { formatTable, printJson, printLines } from '../output.js';

const ID_DIGITS = 12;
/** Images that a line names before it says how many more there are. */
const NAMED_MAX = 3;

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
    const table = formatTable(head, images.map(rowOf));
    printLines([table, ...images.flatMap(troubleOf), ...otherLists(images)].join('\n'));
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
function troubleOf(image: ImageInfo): string[] {
  const { name, missingChunks, chunks, damaged, nodeListDifference } = image;
  if (damaged !== null) return [`damaged: ${damaged}`];
  if (!missingChunks) return [];
  const lost = `incomplete: ${quote(name!)} has lost ${missingChunks} of ${chunks} chunks`;
  return [
    nodeListDifference === null
      ? `${lost}; upload it again`
      : `${lost}, or they are on other nodes (see below)`,
  ];
}

/** Of images that were stored with other node lists, a line per list. */
function otherLists(images: readonly ImageInfo[]): string[] {
  const names = new Map<string, string[]>();
  for (const { name, key, nodeListDifference } of images) {
    if (nodeListDifference === null) continue;
    const known = names.get(nodeListDifference) ?? [];
    names.set(nodeListDifference, known);
    known.push(name === null ? key : quote(name));
  }
  return [...names].map(([difference, of]) => {
    const more = of.length > NAMED_MAX ? ` and ${of.length - NAMED_MAX} more` : '';
    const which = `${of.slice(0, NAMED_MAX).join(', ')}${more}`;
    return `node list: ${which} stored with the node list ${difference}; no chunk is removed until they are uploaded again`;
  });
}
