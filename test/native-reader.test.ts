import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { native, type ReaderOptions, type ReaderPath, SOURCE_SKIP, SOURCE_ZERO } from '../src/native.js';
import { ARENA_OFFSET, CraftedRegion, serveRegion } from './support/crafted-region.js';
import { chunkKey, recordOf } from './support/items.js';
import {
  CHUNK,
  failuresOf,
  localRegionWith,
  makeImage,
  planOf,
  scriptedNode,
} from './support/reader-plans.js';

const test = suite('native reader');

test('an image is whole after a local load, zero chunks and an odd end included', async () => {
  const image = makeImage(500, 777);
  const node = await localRegionWith(image);
  const guest = native().GuestMemory.create(image.bytes.length + 8192);
  const sources = new Uint16Array(image.chunks.length);
  sources[3] = SOURCE_ZERO;
  image.bytes.fill(0, 3 * CHUNK, 4 * CHUNK);
  guest.write(4096 + 3 * CHUNK, Buffer.alloc(CHUNK, 7));
  const reader = new (native().Reader)({
    ...planOf(image, guest, [{ kind: 'local', region: node.mapped }], sources),
    destinationOffset: 4096,
  });
  const result = await reader.run();
  assert.equal(failuresOf(result), {});
  assert.is(result.zeroChunks, 1);
  assert.is(result.paths[0]!.chunks, 499);
  assert.ok(guest.read(4096, image.bytes.length).equals(image.bytes));
  assert.ok(guest.read(0, 4096).equals(Buffer.alloc(4096)), 'nothing is written before it');
  assert.ok(
    guest.read(4096 + image.bytes.length, 4096).equals(Buffer.alloc(4096)),
    'nothing is written behind it',
  );
  assert.equal([...reader.progress].slice(0, 2), [499n, BigInt(image.bytes.length - CHUNK)]);
  guest.close();
  node.close();
});

test('a chunk whose bytes were changed behind the table is read again, then reported, and the others are whole', async () => {
  const image = makeImage(64);
  const node = await localRegionWith(image);
  node.arena[node.placed[9]!.valueAt + 100]! ^= 1;
  const guest = native().GuestMemory.create(image.bytes.length);
  const run = async () =>
    new (native().Reader)(planOf(image, guest, [{ kind: 'local', region: node.mapped }])).run();
  const result = await run();
  assert.equal(failuresOf(result), { 9: 'checksum' });
  assert.is(result.paths[0]!.retries, 2);
  assert.is(result.paths[0]!.checksumFailures, 3);
  assert.ok(guest.read(10 * CHUNK, 54 * CHUNK).equals(image.bytes.subarray(10 * CHUNK)));
  node.arena[node.placed[9]!.valueAt + 100]! ^= 1;
  assert.equal(failuresOf(await run()), {}, 'the next load works');
  assert.ok(guest.read(0, image.bytes.length).equals(image.bytes));
  guest.close();
  node.close();
});

test('a chunk that is not there is told as missing', async () => {
  const image = makeImage(8);
  const node = await localRegionWith(image);
  node.region.unlink(node.placed[5]!.slot);
  const guest = native().GuestMemory.create(image.bytes.length);
  const result = await new (native().Reader)(
    planOf(image, guest, [{ kind: 'local', region: node.mapped }]),
  ).run();
  assert.equal(failuresOf(result), { 5: 'missing' });
  guest.close();
  node.close();
});

test('entries that point outside the arena, overflow or tell another length are never followed', async () => {
  const image = makeImage(6);
  const region = new CraftedRegion();
  region.put(chunkKey(recordOf(image.chunks[5]!)), image.chunks[5]!, 0);
  const lie = (i: number, address: bigint, length = CHUNK) =>
    region.entry(chunkKey(recordOf(image.chunks[i]!)), { address, length, xxh3: 0n });
  lie(0, 1n << 40n);
  lie(1, 0n);
  lie(2, (1n << 64n) - 64n);
  lie(3, BigInt(ARENA_OFFSET) + 1_054_720n - 64n);
  lie(4, BigInt(ARENA_OFFSET), 0xffffffff);
  const server = await serveRegion(region.bytes);
  const mapped = await native().openLocalRegion(server.path, 1000);
  const guest = native().GuestMemory.create(image.bytes.length);
  const result = await new (native().Reader)(planOf(image, guest, [{ kind: 'local', region: mapped }])).run();
  assert.equal(failuresOf(result), { 0: 'bounds', 1: 'bounds', 2: 'bounds', 3: 'bounds', 4: 'length' });
  assert.ok(guest.read(0, 5 * CHUNK).equals(Buffer.alloc(5 * CHUNK)), 'not a byte was copied');
  assert.ok(guest.read(5 * CHUNK, CHUNK).equals(image.chunks[5]!));
  mapped.close();
  guest.close();
  await server.stop();
});

test('among keys that share a fingerprint the one with the right checksum is read', async () => {
  const image = makeImage(1);
  const region = new CraftedRegion();
  const key = chunkKey(recordOf(image.chunks[0]!));
  region.entry(key, { address: BigInt(ARENA_OFFSET + 65536), length: CHUNK, xxh3: 1n });
  image.chunks[0]!.copy(region.bytes, ARENA_OFFSET + 4096);
  const xxh3 = recordOf(image.chunks[0]!).readBigUInt64LE(16);
  region.entry(key, { address: BigInt(ARENA_OFFSET + 4096), length: CHUNK, xxh3 });
  const server = await serveRegion(region.bytes);
  const mapped = await native().openLocalRegion(server.path, 1000);
  const guest = native().GuestMemory.create(CHUNK);
  const result = await new (native().Reader)(planOf(image, guest, [{ kind: 'local', region: mapped }])).run();
  assert.equal(failuresOf(result), {});
  assert.ok(guest.read(0, CHUNK).equals(image.bytes));
  mapped.close();
  guest.close();
  await server.stop();
});

test('a load keeps working when the process that owns the region was killed', async () => {
  const image = makeImage(20);
  const region = new CraftedRegion();
  image.chunks.forEach((chunk, i) => {
    region.put(chunkKey(recordOf(chunk)), chunk, i * 8192);
  });
  const server = await serveRegion(region.bytes);
  const mapped = await native().openLocalRegion(server.path, 1000);
  await server.stop();
  const guest = native().GuestMemory.create(image.bytes.length);
  const result = await new (native().Reader)(planOf(image, guest, [{ kind: 'local', region: mapped }])).run();
  assert.equal(failuresOf(result), {});
  assert.ok(guest.read(0, image.bytes.length).equals(image.bytes));
  mapped.close();
  guest.close();
});

test('one dead path does not keep the others from bringing their chunks', async () => {
  const image = makeImage(200);
  const node = await localRegionWith(image);
  const gone = await scriptedNode(() => {});
  await gone.stop();
  const guest = native().GuestMemory.create(image.bytes.length);
  const sources = Uint16Array.from(image.chunks, (_, i) => i % 2);
  const paths: ReaderPath[] = [{ kind: 'local', region: node.mapped }, gone.path];
  const result = await new (native().Reader)(planOf(image, guest, paths, sources)).run();
  assert.equal(
    Object.keys(failuresOf(result)).map(Number),
    Array.from({ length: 100 }, (_, i) => 2 * i + 1),
  );
  assert.is(result.paths[0]!.chunks, 100);
  guest.close();
  node.close();
});

test('a cancelled load ends at once and tells what it had not read', async () => {
  const image = makeImage(50);
  const hanging = await scriptedNode(() => {});
  const guest = native().GuestMemory.create(image.bytes.length);
  const reader = new (native().Reader)({ ...planOf(image, guest, [hanging.path]), readTimeoutMs: 60_000 });
  const began = Date.now();
  const running = reader.run();
  setTimeout(() => reader.cancel(), 100);
  const result = await running;
  assert.ok(Date.now() - began < 2000);
  assert.is(result.failures.length, 100);
  assert.ok(Object.values(failuresOf(result)).every((why) => why === 'canceled'));
  guest.close();
  await hanging.stop();
});

test('chunks to be skipped are neither read nor written', async () => {
  const image = makeImage(4);
  const node = await localRegionWith(image);
  const guest = native().GuestMemory.create(image.bytes.length);
  const sources = Uint16Array.of(SOURCE_SKIP, 0, SOURCE_SKIP, 0);
  const result = await new (native().Reader)(
    planOf(image, guest, [{ kind: 'local', region: node.mapped }], sources),
  ).run();
  assert.is(result.paths[0]!.chunks, 2);
  assert.ok(guest.read(0, CHUNK).equals(Buffer.alloc(CHUNK)));
  guest.close();
  node.close();
});

test('plans that contradict themselves are refused before anything is touched', async () => {
  const image = makeImage(4);
  const guest = native().GuestMemory.create(image.bytes.length);
  const plan = planOf(image, guest, []);
  const refused: [string, Partial<ReaderOptions>][] = [
    ['a source that is no path', {}],
    ['too few sources', { sources: new Uint16Array(3).fill(SOURCE_SKIP) }],
    ['too few records', { records: image.records.subarray(0, 72) }],
    ['an image larger than the destination', { destinationOffset: 1 }],
    ['a chunk size of 0', { chunkBytes: 0 }],
    ['no threads', { threads: 0 }],
    ['no deadline', { readTimeoutMs: 0 }],
    ['records of another type', { records: new Uint16Array(48) as unknown as Uint8Array }],
    ['a key prefix that is too long', { keyPrefix: 'x'.repeat(240) }],
  ];
  for (const [what, change] of refused) {
    assert.throws(() => new (native().Reader)({ ...plan, ...change }), undefined, what);
  }
  guest.close();
});

test('guest memory refuses what lies outside of it', () => {
  const guest = native().GuestMemory.create(8192);
  assert.throws(() => guest.write(8190, Buffer.alloc(3)), RangeError);
  assert.throws(() => guest.read(8192, 1), RangeError);
  assert.throws(() => guest.read(-1, 1));
  guest.close();
  assert.throws(() => guest.bytes, /closed/);
});

test.run();
