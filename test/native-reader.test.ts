import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  FAILURE_REASONS,
  type GuestMemory,
  native,
  type ReaderOptions,
  type ReaderPath,
  type ReaderResult,
  SOURCE_SKIP,
  SOURCE_ZERO,
} from '../src/native.js';
import { ARENA_OFFSET, CraftedRegion, serveRegion } from './support/crafted-region.js';
import { CHUNK_KEY_PREFIX, chunkKey, placeItem, recordOf, wholeArena } from './support/items.js';

const PAGE = 1_054_720;
const CHUNK = 4096;
const test = suite('native reader');

interface Image {
  chunks: Buffer[];
  records: Buffer;
  bytes: Buffer;
}

function makeImage(count: number, lastBytes = CHUNK): Image {
  const chunks = Array.from({ length: count }, (_, i) => randomBytes(i === count - 1 ? lastBytes : CHUNK));
  return { chunks, records: Buffer.concat(chunks.map(recordOf)), bytes: Buffer.concat(chunks) };
}

function planOf(
  image: Image,
  destination: GuestMemory,
  paths: ReaderPath[],
  sources?: Uint16Array,
): ReaderOptions {
  return {
    destination,
    destinationOffset: 0,
    imageBytes: image.bytes.length,
    chunkBytes: CHUNK,
    records: image.records,
    sources: sources ?? new Uint16Array(image.chunks.length),
    paths,
    keyPrefix: CHUNK_KEY_PREFIX,
    readTimeoutMs: 400,
    threads: 2,
  };
}

function failuresOf(result: ReaderResult): Record<number, string> {
  const failures: Record<number, string> = {};
  for (let i = 0; i < result.failures.length; i += 2) {
    failures[result.failures[i]!] = FAILURE_REASONS[result.failures[i + 1]!]!;
  }
  return failures;
}

async function localRegionWith(image: Image) {
  const region = new (native().Region)({ arenaBytes: PAGE * 8, tableItems: 4096, hugepages: false });
  const arena = wholeArena(region);
  const placed = image.chunks.map((chunk, i) => {
    const item = placeItem(arena, i * 4480, chunkKey(recordOf(chunk)), chunk);
    region.link(item.slot);
    return item;
  });
  const path = join(tmpdir(), `volley-test-${process.pid}-${randomBytes(4).toString('hex')}.sock`);
  region.share(path);
  const mapped = await native().openLocalRegion(path, 1000);
  return {
    region,
    arena,
    placed,
    mapped,
    close: () => {
      mapped.close();
      region.close();
    },
  };
}

/** A server that speaks a script instead of memcached, to inject faults. */
async function scriptedNode(script: (socket: Socket, keys: string[]) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        const keys = text.slice(0, end).split(' ').slice(1);
        text = text.slice(end + 2);
        script(socket, keys);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  };
  const path: ReaderPath = { kind: 'tcp', host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  return { path, stop };
}

function answers(image: Image): Map<string, Buffer> {
  return new Map(image.chunks.map((chunk) => [chunkKey(recordOf(chunk)), chunk]));
}

function answerOf(key: string, chunk: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`VALUE ${key} 0 ${chunk.length}\r\n`), chunk, Buffer.from('\r\n')]);
}

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

test('an image is whole after a load over tcp from stock memcached', async () => {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const port = (probe.address() as AddressInfo).port;
  probe.close();
  const memcached = spawn('memcached', [
    '-u',
    'nobody',
    '-l',
    '127.0.0.1',
    '-p',
    String(port),
    '-U',
    '0',
    '-m',
    '64',
  ]);
  try {
    const image = makeImage(1500, 1);
    let socket: Socket | undefined;
    for (let i = 0; i < 100 && !socket; i++) {
      const attempt = connect(port, '127.0.0.1');
      const [event] = await Promise.race([
        once(attempt, 'connect').then(() => ['connect']),
        once(attempt, 'error').then(() => ['error']),
      ]).catch(() => ['error']);
      if (event === 'connect') socket = attempt;
      else await sleep(20);
    }
    const absent = 700;
    image.chunks.forEach((chunk, i) => {
      if (i === absent) return;
      socket!.write(`set ${chunkKey(recordOf(chunk))} 0 0 ${chunk.length} noreply\r\n`);
      socket!.write(chunk);
      socket!.write('\r\n');
    });
    socket!.write('version\r\n');
    await once(socket!, 'data');
    socket!.destroy();
    const guest = native().GuestMemory.create(image.bytes.length);
    const path: ReaderPath = { kind: 'tcp', host: '127.0.0.1', port };
    const result = await new (native().Reader)(planOf(image, guest, [path])).run();
    assert.equal(failuresOf(result), { [absent]: 'missing' });
    const got = guest.read(0, image.bytes.length);
    assert.ok(got.subarray(0, absent * CHUNK).equals(image.bytes.subarray(0, absent * CHUNK)));
    assert.ok(got.subarray((absent + 1) * CHUNK).equals(image.bytes.subarray((absent + 1) * CHUNK)));
    guest.close();
  } finally {
    memcached.kill('SIGKILL');
    await once(memcached, 'close');
  }
});

test('a window of one read over tcp asks for each chunk and not for a batch that never fills', async () => {
  const image = makeImage(20);
  const known = answers(image);
  const node = await scriptedNode((socket, keys) => {
    for (const key of keys) socket.write(answerOf(key, known.get(key)!));
    socket.write('END\r\n');
  });
  const guest = native().GuestMemory.create(image.bytes.length);
  const result = await new (native().Reader)({ ...planOf(image, guest, [node.path]), window: 1 }).run();
  assert.equal(failuresOf(result), {});
  assert.ok(guest.read(0, image.bytes.length).equals(image.bytes));
  guest.close();
  await node.stop();
});

test('answers cut at every possible place give the same image', async () => {
  const image = makeImage(40, 100);
  const known = answers(image);
  const node = await scriptedNode((socket, keys) => {
    const whole = Buffer.concat([
      ...keys.map((key) => answerOf(key, known.get(key)!)),
      Buffer.from('END\r\n'),
    ]);
    let at = 0;
    const next = () => {
      if (at >= whole.length || socket.destroyed) return;
      const bytes = 1 + Math.floor(Math.random() ** 4 * 9000);
      socket.write(whole.subarray(at, at + bytes));
      at += bytes;
      setImmediate(next);
    };
    next();
  });
  for (let round = 0; round < 5; round++) {
    const guest = native().GuestMemory.create(image.bytes.length);
    const result = await new (native().Reader)({
      ...planOf(image, guest, [node.path]),
      readTimeoutMs: 5000,
    }).run();
    assert.equal(failuresOf(result), {});
    assert.ok(guest.read(0, image.bytes.length).equals(image.bytes));
    guest.close();
  }
  await node.stop();
});

const hostileAnswers: [string, string, (key: string, chunk: Buffer) => Buffer | string][] = [
  ['an error line', 'protocol', () => 'SERVER_ERROR busy\r\n'],
  ['a line without an end', 'protocol', () => 'x'.repeat(5000)],
  ['a key that was not asked for', 'protocol', () => `VALUE ${CHUNK_KEY_PREFIX}${'0'.repeat(32)} 0 4096\r\n`],
  ['a length that is no number', 'protocol', (key) => `VALUE ${key} 0 many\r\n`],
  ['a negative length', 'protocol', (key) => `VALUE ${key} 0 -5\r\n`],
  ['a length of 4 GB and more', 'protocol', (key) => `VALUE ${key} 0 99999999999\r\n`],
  ['another length', 'length', (key) => `VALUE ${key} 0 4095\r\n`],
  [
    'a value longer than announced',
    'protocol',
    (key, chunk) => Buffer.concat([answerOf(key, chunk).subarray(0, -2), Buffer.from('more')]),
  ],
  ['an END before it was due', 'missing', () => 'END\r\n'],
  [
    'wrong bytes',
    'checksum',
    (key, chunk) => Buffer.concat([answerOf(key, Buffer.alloc(chunk.length, 1)), Buffer.from('END\r\n')]),
  ],
];
for (const [what, reason, answer] of hostileAnswers) {
  test(`a node that answers with ${what} is not believed (${reason})`, async () => {
    const image = makeImage(1);
    const known = answers(image);
    const node = await scriptedNode((socket, keys) => socket.write(answer(keys[0]!, known.get(keys[0]!)!)));
    const guest = native().GuestMemory.create(CHUNK);
    const result = await new (native().Reader)(planOf(image, guest, [node.path])).run();
    assert.equal(failuresOf(result), { 0: reason });
    guest.close();
    await node.stop();
  });
}

test('a node that refuses, closes or says nothing fails its chunks in time, and no byte comes late', async () => {
  const image = makeImage(300);
  const known = answers(image);
  const closing = await scriptedNode((socket, keys) => socket.end(answerOf(keys[0]!, known.get(keys[0]!)!)));
  const hanging = await scriptedNode((socket, keys) => {
    socket.write(answerOf(keys[0]!, known.get(keys[0]!)!).subarray(0, 1000));
    setTimeout(() => socket.write(answerOf(keys[0]!, known.get(keys[0]!)!).subarray(1000)), 700);
  });
  const gone = await scriptedNode(() => {});
  await gone.stop();
  for (const [node, reason] of [
    [closing, 'connection'],
    [hanging, 'timeout'],
    [gone, 'connection'],
  ] as const) {
    const guest = native().GuestMemory.create(image.bytes.length);
    const began = Date.now();
    const result = await new (native().Reader)(planOf(image, guest, [node.path])).run();
    assert.ok(Date.now() - began < 3000);
    const failures = failuresOf(result);
    assert.ok(
      Object.values(failures).every((why) => why === reason),
      JSON.stringify(failures).slice(0, 200),
    );
    assert.ok(Object.keys(failures).length >= 298);
    assert.ok(reason !== 'connection' || result.paths[0]!.error.length > 0);
    const paint = Buffer.alloc(image.bytes.length, 0x5a);
    guest.write(0, paint);
    await sleep(reason === 'timeout' ? 600 : 50);
    assert.ok(guest.read(0, paint.length).equals(paint), 'nothing was written after the end');
    guest.close();
  }
  await closing.stop();
  await hanging.stop();
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
