// A client of some release in a process of its own, which loads and uploads until its stdin ends:
//
//   node release-client.js FOLDER NODES PREFIX UPLOADS IMAGE…
//
// FOLDER has the release's dist/. It loads the images in turn and uploads now and then, if UPLOADS is 1, images whose names begin
// with PREFIX; all have the content that contentOf() makes of their names. It prints a line of JSON for each that went well
// or did not. A node that is down for a moment is waited for; anything else ends it with exit code 1.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster as ClusterOfRelease, GuestMemory } from '../../client/index.js';
import { contentOf } from './named-content.js';

const [folder, nodes, prefix, uploads, ...images] = process.argv.slice(2);
const release = (await import(
  join(folder!, 'dist', 'client', 'index.js')
)) as typeof import('../../client/index.js');
/** What a client meets when a node is being replaced. */
const PASSING = ['ERR_VOLLEY_NODE_DOWN', 'ERR_VOLLEY_TIMEOUT'];
const UPLOAD_EVERY = 3;

let isOver = false;
process.stdin.on('end', () => {
  isOver = true;
});
process.stdin.resume();

function report(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function load(cluster: ClusterOfRelease, name: string): Promise<void> {
  const image = await cluster.open(name);
  const destination: GuestMemory = release.native().GuestMemory.create(image.imageBytes);
  try {
    await cluster.load(image, { destination, destinationIsZero: true, readTimeoutMs: 2000 });
    if (!destination.read(0, image.imageBytes).equals(contentOf(name)))
      throw new Error(`${name}: wrong bytes`);
    report({ loaded: name });
  } finally {
    destination.close();
  }
}

let cluster: ClusterOfRelease | null = null;
let uploaded = 0;
for (let round = 0; !isOver; round++) {
  try {
    cluster ??= await release.Cluster.connect({ nodes: nodes!.split(','), timeoutMs: 2000 });
    if (uploads === '1' && round % UPLOAD_EVERY === 0) {
      const name = `${prefix}${uploaded}`;
      await cluster.upload(contentOf(name), { name });
      uploaded++;
      report({ uploaded: name });
    } else {
      await load(cluster, images[round % images.length]!);
    }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    report({ code, message });
    if (!PASSING.includes(code ?? '')) process.exit(1);
    await cluster?.close();
    cluster = null;
    await sleep(50);
  }
}
await cluster?.close();
process.exit(0);
