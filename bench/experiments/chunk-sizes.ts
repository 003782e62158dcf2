import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster, type Manifest, native } from '../../client/index.js';
import { ROOT } from '../../src/root.js';
import { formatBytes } from '../../src/units.js';
import { type Figure, median } from '../support/figures.js';
import { randomImage } from '../support/image.js';
import { startNode } from '../support/servers.js';
import { type Series, svgChart } from '../support/svg-chart.js';

const IMAGE_BYTES = 300 << 20;
const CHUNK_SIZES = [4, 8, 16, 32, 64, 128, 256, 512, 1024].map((kib) => kib << 10);
const TRANSPORTS = ['local', 'tcp', 'fabric'] as const;
const ROUNDS = 3;
const RESULTS = join(ROOT, 'build', 'bench');
const RECORD_BYTES = 24;

interface Point {
  chunkBytes: number;
  /** GB/s, by what was measured. */
  speeds: Record<string, number>;
}

/** Seconds of a load that calls the native reader once per chunk instead of once per image. */
async function loadChunkByChunk(
  cluster: Cluster,
  image: Manifest,
  destination: ReturnType<typeof memory>,
): Promise<number> {
  const began = performance.now();
  for (let chunk = 0; chunk < image.chunkCount; chunk++) {
    const records = image.records.subarray(chunk * RECORD_BYTES, (chunk + 1) * RECORD_BYTES);
    const bytes = Math.min(image.chunkBytes, image.imageBytes - chunk * image.chunkBytes);
    const part = { ...image, imageBytes: bytes, chunkCount: 1, records };
    await cluster.load(part, { destination, destinationOffset: chunk * image.chunkBytes });
  }
  return (performance.now() - began) / 1000;
}

function memory() {
  return native().GuestMemory.create(IMAGE_BYTES);
}

async function measure(chunkBytes: number, bytes: Buffer): Promise<Point> {
  const node = await startNode(
    '512M',
    '--fabric',
    'net',
    '--table-items',
    String(2 * (IMAGE_BYTES / chunkBytes) + 1024),
  );
  const destination = memory();
  const speeds: Record<string, number> = {};
  try {
    for (const transport of TRANSPORTS) {
      const cluster = await Cluster.connect({ nodes: [node.name], transport });
      if (transport === 'local') await cluster.upload(bytes, { name: 'image', chunkBytes });
      const image = await cluster.open('image');
      const seconds = [];
      for (let round = 0; round <= ROUNDS; round++)
        seconds.push((await cluster.load(image, { destination })).seconds);
      speeds[transport] = IMAGE_BYTES / median(seconds.slice(1)) / 1e9;
      if (transport === 'local') {
        speeds['local, a call per chunk'] =
          IMAGE_BYTES / (await loadChunkByChunk(cluster, image, destination)) / 1e9;
      }
      await cluster.close();
    }
  } finally {
    destination.close();
    await node.stop();
  }
  return { chunkBytes, speeds };
}

function seriesOf(points: Point[]): Series[] {
  return Object.keys(points[0]!.speeds).map((name) => ({
    name,
    points: points.map(({ chunkBytes, speeds }) => [chunkBytes / 1024, speeds[name]!] as const),
  }));
}

/** Loads of a 300 MB image cut into chunks of 4 kB to 1 MB; the curve is saved as JSON and SVG under build/bench. */
export async function chunkSizes(): Promise<Figure[]> {
  const bytes = randomImage(IMAGE_BYTES);
  const points: Point[] = [];
  for (const chunkBytes of CHUNK_SIZES) {
    const point = await measure(chunkBytes, bytes);
    points.push(point);
    const told = Object.entries(point.speeds).map(([name, speed]) => `${name} ${speed.toFixed(2)}`);
    process.stdout.write(`${String(chunkBytes / 1024).padStart(5)} KiB: ${told.join(', ')} GB/s\n`);
  }
  mkdirSync(RESULTS, { recursive: true });
  const title = `Load of ${formatBytes(IMAGE_BYTES)} by chunk size`;
  writeFileSync(join(RESULTS, 'chunk-sizes.json'), `${JSON.stringify(points, null, 2)}\n`);
  writeFileSync(
    join(RESULTS, 'chunk-sizes.svg'),
    svgChart({ title, x: 'chunk, KiB', y: 'GB/s', series: seriesOf(points) }),
  );
  process.stdout.write(`saved ${join(RESULTS, 'chunk-sizes.json')} and .svg\n`);
  return [];
}
