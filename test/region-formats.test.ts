// Regions of other versions: what an older node left behind, and what a newer one may add. docs/protocol.md, "Formats that grow".
import { closeSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster } from '../client/index.js';
import { StorageNode } from '../server/index.js';
import { isVolleyError } from '../src/errors.js';
import { native } from '../src/native.js';
import { ROOT } from '../src/root.js';
import { CraftedRegion, featureBlock, hash64, serveRegion } from './support/crafted-region.js';
import { loadBytes } from './support/images.js';
import { recordOf } from './support/items.js';
import { failuresOf, planOf } from './support/reader-plans.js';
import { askNode, hit, RunningNodes, setting } from './support/running-nodes.js';

const test = suite('regions of other versions');
const MIB = 1024 * 1024;
const OWN_HEADER = 2048;
const FEATURES = 104;
const stem = `/dev/shm/volley-test-${process.pid}`;
const file = `${stem}.region`;
const OLD = gunzipSync(readFileSync(join(ROOT, 'test/fixtures/0.1.0/region.gz')));
/** The image in it; see region.sh beside it. */
const IMAGE = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) & 255)).fill(
  0,
  100_000,
  180_000,
);
const CHUNK_BYTES = 32_768;
const ITEMS = [
  ['get plain\r\n', 'VALUE plain 7 5\r\nhello\r\nEND\r\n'],
  ['get replaced counter gone\r\n', 'VALUE replaced 0 3\r\nnew\r\nVALUE counter 0 2\r\n42\r\nEND\r\n'],
  ['mg YmluYXJ5AWtleQ== b k f v\r\n', 'VA 3 kYmluYXJ5AWtleQ== b f9\r\nabc\r\n'],
  ['mg stale v\r\n', 'VA 1 X W\r\ns\r\n'],
] as const;

const nodes = new RunningNodes({ memoryBytes: 3 * MIB, region: file });
process.once('exit', () => rmSync(file, { force: true }));

test.after.each(async () => {
  await nodes.stop();
  rmSync(file, { force: true });
});

/** Why a node does not take up the file. */
async function refusal(): Promise<string> {
  try {
    await new StorageNode({ memoryBytes: 3 * MIB, region: file, fabric: 'off' }).stop();
  } catch (error) {
    if (isVolleyError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'taken up';
}

/** Changes the file's bytes at these places. */
function patch(...changes: readonly (readonly [at: number, bytes: Buffer])[]): void {
  const fd = openSync(file, 'r+');
  for (const [at, bytes] of changes) writeSync(fd, bytes, 0, bytes.length, at);
  closeSync(fd);
}

test('a region file that 0.1.0 left behind is taken up: every item, and the image by every way', async () => {
  writeFileSync(file, OLD, { mode: 0o600 });
  const node = await nodes.start({ local: `${stem}.sock` });
  assert.equal(node.restored, { items: 11, damaged: 0, replaced: 0 });
  for (const [command, answer] of ITEMS) assert.is(await askNode(node, command), answer);
  for (const transport of ['local', 'tcp'] as const) {
    const cluster = await Cluster.connect({ nodes: [node.name], transport });
    const { bytes, report } = await loadBytes(cluster, 'old-image');
    assert.ok(bytes.equals(IMAGE), transport);
    assert.is(report.nodes[0]!.transport, transport);
    await cluster.close();
  }
});

test('a file of 0.1.0 stays one that 0.1.0 takes up, also when newer items have come into it', async () => {
  writeFileSync(file, OLD, { mode: 0o600 });
  const node = await nodes.start();
  await askNode(node, setting('new', 'item'));
  await nodes.stop();
  const after = readFileSync(file);
  assert.ok(after.subarray(OWN_HEADER).subarray(0, 512).equals(OLD.subarray(OWN_HEADER).subarray(0, 512)));
  const again = await nodes.start();
  assert.is(again.restored!.items, 12);
  assert.is(await askNode(again, 'get new\r\n'), hit('new', 'item'));
});

test('what a node writes of its region fulfils what readers and nodes of 0.1.0 ask of it', async () => {
  await nodes.start();
  const bytes = readFileSync(file);
  for (const at of [0, OWN_HEADER]) {
    const header = bytes.subarray(at);
    assert.is(header.toString('latin1', 0, 8), 'VOLLEYRG');
    assert.is(header.readUInt32LE(8), 2, 'layout version');
    assert.equal(
      [12, 48, 52, 72, 76].map((offset) => header.readUInt32LE(offset)),
      [4096, 128, 4, 1_054_720, 64],
    );
    assert.is(header.readBigUInt64LE(16), BigInt(bytes.length));
    assert.is(header.readBigUInt64LE(88), hash64(header.subarray(0, 88)));
    assert.ok(header.readBigUInt64LE(96) >= 1n && header.readBigUInt64LE(96) <= header.readBigUInt64LE(40));
    assert.ok(header.subarray(FEATURES, FEATURES + 40).equals(featureBlock({})));
  }
});

test('a client reads the region of a node of 0.1.0 one-sidedly', async () => {
  const server = await serveRegion(OLD);
  const region = await native().openLocalRegion(server.path, 5000);
  const guest = native().GuestMemory.create(IMAGE.length);
  try {
    // The chunks that are not cut by the zeros in the image.
    const chunks = [0, 1, 2, 6, 7].map((i) => IMAGE.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES));
    const image = { chunks, records: Buffer.concat(chunks.map(recordOf)), bytes: Buffer.concat(chunks) };
    const plan = { ...planOf(image, guest, [{ kind: 'local', region }]), chunkBytes: CHUNK_BYTES };
    const result = await new (native().Reader)(plan).run();
    assert.equal(failuresOf(result), {});
    assert.ok(guest.read(0, image.bytes.length).equals(image.bytes));
  } finally {
    guest.close();
    region.close();
    await server.stop();
  }
});

test('a reader goes on beside features that it may ignore, and refuses those that it has to know', async () => {
  const later = Buffer.alloc(64, 7);
  const cases: [what: string, region: CraftedRegion, refused: RegExp | null][] = [
    ['none', new CraftedRegion().features({}), null],
    ['compatible ones', new CraftedRegion().features({ compatible: 1n << 63n }), null],
    ['those of owners', new CraftedRegion().features({ owners: 5n }), null],
    ['fields of later versions', new CraftedRegion().features({ compatible: 1n }, later), null],
    [
      'those of readers',
      new CraftedRegion().features({ readers: 1n }),
      /features that are not known here; upgrade/,
    ],
    ['a wrong checksum', new CraftedRegion().features({ compatible: 1n }), /checksum of its features/],
    ['no room', new CraftedRegion().features({}, Buffer.alloc(400)), /features have a size/],
    ['a version that has some', new CraftedRegion(), /features are missing/],
  ];
  cases[5]![1].bytes.writeUInt8(2, FEATURES + 8);
  cases[7]![1].bytes.writeUInt32LE(3, 8);
  cases[7]![1].seal();
  for (const [what, region, refused] of cases) {
    const server = await serveRegion(region.bytes);
    const opened = native().openLocalRegion(server.path, 5000);
    const told = await opened.then(
      (mapped) => mapped.close(),
      (error: Error) => error.message,
    );
    await server.stop();
    if (refused === null) assert.is(told, undefined, what);
    else assert.match(told ?? 'opened', refused, what);
  }
});

test('a node goes on with a file of features that it may ignore, and leaves alone one that asks for more', async () => {
  await nodes.start();
  await nodes.stop();
  const before = readFileSync(file);
  const own = OWN_HEADER + FEATURES;
  patch([own, featureBlock({ compatible: 6n }, Buffer.alloc(16, 1))]);
  assert.is(await refusal(), 'taken up');
  for (const told of [{ owners: 1n }, { readers: 1n << 40n }]) {
    writeFileSync(file, before);
    patch([own, featureBlock(told)]);
    const asked = readFileSync(file);
    assert.match(await refusal(), /^ERR_VOLLEY_LAYOUT: .*features that are not known here; upgrade/);
    assert.ok(readFileSync(file).equals(asked), 'it is left as it is');
  }
});

test('fields that a later version adds to an item are skipped, and stay with it', async () => {
  const node = await nodes.start();
  await askNode(node, setting('extended', 'value of it') + setting('overlong', 'another value'));
  await nodes.stop();
  const bytes = readFileSync(file);
  const [extended, overlong] = ['value of it', 'another value'].map((value) => bytes.indexOf(value) - 128);
  const fields = Buffer.alloc(32, 0xee);
  const count = (extra: number) => Buffer.from([extra, 0]);
  patch([extended! + 60, count(32)], [extended! + 64, fields], [overlong! + 60, count(64)]);
  const again = await nodes.start();
  assert.equal(again.restored, { items: 1, damaged: 1, replaced: 0 });
  assert.is(await askNode(again, 'get extended\r\n'), hit('extended', 'value of it'));
  await nodes.stop();
  assert.ok(
    readFileSync(file)
      .subarray(extended! + 64)
      .subarray(0, 32)
      .equals(fields),
  );
});

test.run();
