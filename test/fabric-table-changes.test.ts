// Eight clients load over a fabric in a loop while the chunks of their image are deleted, replaced and stored anew.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster, Manifest } from '../client/index.js';
import { contentDigest } from '../src/digest.js';
import { chunkKey } from '../src/keys.js';
import { type GuestMemory, native } from '../src/native.js';
import { fallbackChunks, holds, outcomeOf, PROVIDER, startFabricNode } from './support/fabric.js';
import { CHUNK_BYTES, randomImage } from './support/images.js';
import { type TestNode, withCluster, withNodes } from './support/nodes.js';
import { Random } from './support/random.js';
import { ask } from './support/raw-client.js';
import { SEED } from './support/seed.js';

const CLIENTS = 8;
const CHUNKS = 200;
const CHANGED_AT_ONCE = 8;
const SECONDS = 4;
/** Where changes take long (in a VM that is emulated) no load may have met one by then: then it goes on until one has. */
const SECONDS_MAX = 24;
const content = randomImage(CHUNKS);
const random = new Random(SEED);

const test = suite(`fabric, table changes over ${PROVIDER}`);

interface Count {
  whole: number;
  failed: number;
  retries: number;
  checksumFailures: number;
  fallbackChunks: number;
  changes: number;
}

const bytesOf = (chunk: number) => content.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);
const keys = Array.from({ length: CHUNKS }, (_, chunk) => chunkKey(contentDigest(bytesOf(chunk))));

function storing(key: string, value: Buffer): Buffer[] {
  return [Buffer.from(`set ${key} 0 0 ${value.length} noreply\r\n`), value, Buffer.from('\r\n')];
}

/** Has the node carry out commands without answers, all of them in one go. */
async function tell(node: TestNode, commands: readonly Buffer[]): Promise<void> {
  await ask(node.port, Buffer.concat([...commands, Buffer.from('version\r\n')]), 'VERSION');
}

/** Changes some chunks after the others until told to stop; all of them are right in the end. */
async function churn(node: TestNode, count: Count, isOver: () => boolean): Promise<void> {
  for (let round = 0; !isOver(); round++) {
    const chunks = Array.from({ length: CHANGED_AT_ONCE }, () => random.between(0, CHUNKS - 1));
    const spoil = (chunk: number, i: number) => {
      // Every now and then wrong bytes under the chunk's own key: what a broken or hostile client could store.
      if (i === 0 && round % 4 === 0) return storing(keys[chunk]!, randomImage(1));
      // Something else takes a slot that has rested, and frees another one.
      const filler = storing(`filler-${random.between(0, 63)}`, randomImage(1));
      return [Buffer.from(`delete ${keys[chunk]} noreply\r\n`), ...filler];
    };
    await tell(node, chunks.flatMap(spoil));
    await tell(
      node,
      chunks.flatMap((chunk) => storing(keys[chunk]!, bytesOf(chunk))),
    );
    count.changes += chunks.length;
  }
}

async function loadAgainAndAgain(
  cluster: Cluster,
  image: Manifest,
  memory: GuestMemory,
  count: Count,
  isOver: () => boolean,
): Promise<void> {
  const clear = new RegExp(
    `^image "image": chunk \\d+ of ${CHUNKS} on node ${cluster.nodes[0]!.name} ` +
      '(is not there|is not what the manifest says).*; upload the image again',
  );
  while (!isOver()) {
    const { report, error } = await outcomeOf(cluster, image, { destination: memory });
    if (error) {
      count.failed++;
      assert.is(error.code, 'ERR_VOLLEY_CHUNK', String(error));
      assert.match(error.message, clear);
      continue;
    }
    assert.ok(holds(memory, content), 'what was told as loaded is right');
    count.whole++;
    count.retries += report.retries;
    count.checksumFailures += report.checksumFailures;
    count.fallbackChunks += fallbackChunks(report);
  }
}

async function withClients(node: TestNode, work: (clusters: Cluster[]) => Promise<void>): Promise<void> {
  const join = async (clusters: Cluster[]): Promise<void> => {
    if (clusters.length === CLIENTS) return work(clusters);
    await withCluster([node], (cluster) => join([...clusters, cluster]), { transport: 'fabric' });
  };
  await join([]);
}

for (const restMs of [1000, 0]) {
  test(`with ${restMs} ms of quarantine, each load is right or tells a chunk that is not`, async () => {
    const count: Count = {
      whole: 0,
      failed: 0,
      retries: 0,
      checksumFailures: 0,
      fallbackChunks: 0,
      changes: 0,
    };
    await withNodes([() => startFabricNode('--quarantine', String(restMs), '-m', '16')], async (node) => {
      await withClients(node!, async (clusters) => {
        await clusters[0]!.upload(content, { name: 'image' });
        const image = await clusters[0]!.open('image');
        const memories = clusters.map(() => native().GuestMemory.create(content.length));
        const beganMs = performance.now();
        const isOver = () => {
          const seconds = (performance.now() - beganMs) / 1000;
          return seconds > (count.retries > 0 ? SECONDS : SECONDS_MAX);
        };
        const loading = clusters.map((cluster, i) =>
          loadAgainAndAgain(cluster, image, memories[i]!, count, isOver),
        );
        await Promise.all([churn(node!, count, isOver), ...loading]);
        for (const [i, cluster] of clusters.entries()) {
          await cluster.load(image, { destination: memories[i]! });
          assert.ok(holds(memories[i]!, content), 'when nothing changes any more, every client loads');
          memories[i]!.close();
        }
      });
    });
    console.log(`quarantine ${restMs} ms: ${JSON.stringify(count)}`);
    assert.ok(count.whole > 0 && count.changes > CLIENTS);
    assert.ok(count.retries > 0, 'at least one load met a change');
  });
}

test.run();
