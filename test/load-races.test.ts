// Loads of an image while it is uploaded anew under its name, and while it is removed, over every transport.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Cluster, isVolleyError, type Manifest, native } from '../client/index.js';
import { holds, outcomeOf } from './support/fabric.js';
import { loadBytes } from './support/images.js';
import { startMemcached, startVolleyNode, type TestNode, withCluster, withNodes } from './support/nodes.js';
import { rejects } from './support/rejection.js';
import { randomBytes } from './support/seed.js';

/** So many that the manifest's body does not fit into its root, and is fetched by itself. */
const CHUNKS = 800;
const CHUNK_BYTES = 4096;
const UPLOADS = 12;
/** Chunks that `rm` has sentenced expire after 3 s, and are swept in the second after that. */
const REMOVAL_MS_MAX = 10_000;

const test = suite('load races');

interface Case {
  name: string;
  start: () => Promise<TestNode>;
  transport: 'local' | 'fabric' | 'tcp';
}
const CASES: Case[] = [
  { name: 'local', start: () => startVolleyNode('-m', '64'), transport: 'local' },
  { name: 'fabric', start: () => startVolleyNode('-m', '64', '--fabric', 'net'), transport: 'fabric' },
  { name: 'tcp', start: () => startVolleyNode('-m', '64', '-t', '2'), transport: 'tcp' },
  { name: 'tcp from stock memcached', start: () => startMemcached(), transport: 'tcp' },
];

const image = (): Buffer => randomBytes(CHUNKS * CHUNK_BYTES);

/** Two nodes, a client that changes what they hold, and two that load from them. */
async function withClients(
  { start, transport }: Case,
  work: (writer: Cluster, readers: [Cluster, Cluster]) => Promise<void>,
): Promise<void> {
  await withNodes([start, start], async (...nodes) => {
    await withCluster(nodes, (writer) =>
      withCluster(nodes, (one) => withCluster(nodes, (other) => work(writer, [one, other]), { transport }), {
        transport,
      }),
    );
  });
}

function upload(cluster: Cluster, content: Buffer): Promise<unknown> {
  return cluster.upload(content, { name: 'image', chunkBytes: CHUNK_BYTES });
}

for (const one of CASES) {
  test(`over ${one.name}, a load amid uploads under the same name gives one of the images whole`, async () => {
    await withClients(one, async (writer, readers) => {
      const first = image();
      // Half of the chunks are those of the first one, which the upload finds there.
      const second = Buffer.concat([first.subarray(0, first.length / 2), image()]);
      const contents = [first, second];
      await upload(writer, first);
      const met = new Set<number>();
      let isOver = false;
      const loading = readers.map(async (reader) => {
        while (!isOver) {
          const { bytes, report } = await loadBytes(reader, 'image');
          const which = contents.findIndex((content) => bytes.equals(content));
          assert.ok(which >= 0, 'the one image or the other, byte for byte');
          assert.ok(report.nodes.every(({ transport }) => transport === one.transport));
          met.add(which);
        }
      });
      const uploading = async () => {
        for (let i = 1; i <= UPLOADS; i++) await upload(writer, contents[i % 2]!);
      };
      const uploads = uploading().finally(() => {
        isOver = true;
      });
      await Promise.all([uploads, ...loading]);
      assert.is(met.size, 2, 'both were met');
    });
  });
}

/** Loads an image that was opened before, as a boot does, until its chunks are gone. Returns how often it was whole. */
async function loadUntilGone(cluster: Cluster, opened: Manifest, content: Buffer): Promise<number> {
  const nodes = cluster.nodes.map(({ name }) => name).join('|');
  const told = new RegExp(`^image "image": chunk \\d+ of ${CHUNKS} on node (${nodes}) is not there`);
  const destination = native().GuestMemory.create(content.length);
  const endMs = performance.now() + REMOVAL_MS_MAX;
  try {
    for (let whole = 0; performance.now() < endMs; whole++) {
      const { error } = await outcomeOf(cluster, opened, { destination });
      if (!error) {
        assert.ok(holds(destination, content), 'what was told as loaded is right');
        continue;
      }
      assert.is(error.code, 'ERR_VOLLEY_CHUNK', String(error));
      assert.match(error.message, told);
      return whole;
    }
    throw new Error(`the chunks are still there ${REMOVAL_MS_MAX} ms after the removal`);
  } finally {
    destination.close();
  }
}

/** Loads an image by its name until there is none. Returns how often it was whole. */
async function loadUntilUnknown(cluster: Cluster, content: Buffer): Promise<number> {
  for (let whole = 0; ; whole++) {
    try {
      assert.ok(
        (await loadBytes(cluster, 'image')).bytes.equals(content),
        'what was told as loaded is right',
      );
    } catch (error) {
      if (!isVolleyError(error)) throw error;
      assert.is(error.code, 'ERR_VOLLEY_NOT_FOUND', String(error));
      assert.match(error.message, /"image"/);
      return whole;
    }
  }
}

test('over each of them, a load amid the removal of the image is whole or tells what is gone', async () => {
  const removals = CASES.map((one) =>
    withClients(one, async (writer, [opening, naming]) => {
      const content = image();
      await upload(writer, content);
      const opened = await opening.open('image');
      const loading = [loadUntilGone(opening, opened, content), loadUntilUnknown(naming, content)];
      const { removedChunks } = await writer.remove('image');
      assert.ok(removedChunks >= CHUNKS, `${removedChunks} chunks were removed`);
      assert.ok((await loading[0])! > 0, 'it was whole before');
      await loading[1];
      await rejects(naming.open('image'), 'ERR_VOLLEY_NOT_FOUND', '"image"');
      await upload(writer, content);
      assert.ok((await loadBytes(naming, 'image')).bytes.equals(content), 'the next load is whole');
    }),
  );
  await Promise.all(removals);
});

test.run();
