import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { native, type ReaderPath } from '../src/native.js';
import { CHUNK_KEY_PREFIX, chunkKey, recordOf } from './support/items.js';
import { startMemcached } from './support/nodes.js';
import { Random } from './support/random.js';
import {
  answerOf,
  answers,
  CHUNK,
  failuresOf,
  makeImage,
  planOf,
  scriptedNode,
} from './support/reader-plans.js';
import { SEED } from './support/seed.js';

const test = suite('native reader over tcp');
const random = new Random(SEED);

test('an image is whole after a load over tcp from stock memcached', async () => {
  const memcached = await startMemcached();
  try {
    const image = makeImage(1500, 1);
    const socket = connect(memcached.port, '127.0.0.1');
    await once(socket, 'connect');
    const absent = 700;
    image.chunks.forEach((chunk, i) => {
      if (i === absent) return;
      socket.write(`set ${chunkKey(recordOf(chunk))} 0 0 ${chunk.length} noreply\r\n`);
      socket.write(chunk);
      socket.write('\r\n');
    });
    socket.write('version\r\n');
    await once(socket, 'data');
    socket.destroy();
    const guest = native().GuestMemory.create(image.bytes.length);
    const path: ReaderPath = { kind: 'tcp', host: '127.0.0.1', port: memcached.port };
    const result = await new (native().Reader)(planOf(image, guest, [path])).run();
    assert.equal(failuresOf(result), { [absent]: 'missing' });
    const got = guest.read(0, image.bytes.length);
    assert.ok(got.subarray(0, absent * CHUNK).equals(image.bytes.subarray(0, absent * CHUNK)));
    assert.ok(got.subarray((absent + 1) * CHUNK).equals(image.bytes.subarray((absent + 1) * CHUNK)));
    guest.close();
  } finally {
    await memcached.process.kill();
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
      const bytes = 1 + Math.floor(random.fraction() ** 4 * 9000);
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

test('bytes that come steadily are waited for however long they take, bytes that trickle are not', async () => {
  const image = makeImage(1);
  const known = answers(image);
  /** Sends so many bytes each 50 milliseconds. */
  const dripping = (bytes: number) =>
    scriptedNode((socket, keys) => {
      const answer = Buffer.concat([answerOf(keys[0]!, known.get(keys[0]!)!), Buffer.from('END\r\n')]);
      let at = 0;
      const timer = setInterval(() => {
        socket.write(answer.subarray(at, at + bytes));
        at += bytes;
        if (at >= answer.length || socket.destroyed) clearInterval(timer);
      }, 50);
    });
  const steady = await dripping(1024);
  const trickling = await dripping(16);
  for (const [node, failures] of [
    [steady, {}],
    [trickling, { 0: 'timeout' }],
  ] as const) {
    const guest = native().GuestMemory.create(image.bytes.length);
    const plan = { ...planOf(image, guest, [node.path]), readTimeoutMs: 1000 };
    assert.equal(failuresOf(await new (native().Reader)(plan).run()), failures);
    guest.close();
  }
  await steady.stop();
  await trickling.stop();
});

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

test.run();
