import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RawClient } from './support/memcached.js';
import { RunningNodes } from './support/running-nodes.js';
import { deleteMany, figure, presentOf, storeMany, tell } from './support/stores.js';

const test = suite('memory of a node');
const MIB = 1024 * 1024;
const KIB = 1024;

const { start: started, stop } = new RunningNodes({ memoryBytes: 16 * MIB, quarantineMs: 50 });
test.after.each(stop);

test('memory that held items of one size serves any other, round after round', async () => {
  const { port } = await started();
  const sizes = [4 * KIB, 32 * KIB, MIB, 100, 300 * KIB, 32 * KIB, 5000, MIB, 4 * KIB];
  for (const bytes of sizes) {
    const count = Math.min(4000, Math.floor((16 * MIB) / bytes) + 4);
    const stored = await storeMany(port, `k${bytes}`, count, bytes);
    const least =
      Math.min(count, Math.floor((16 * MIB) / bytes)) * (bytes === 300 * KIB || bytes === 5000 ? 0.55 : 0.94);
    assert.ok(stored.length >= least, `${stored.length} of ${count} with ${bytes} bytes`);
    await deleteMany(port, `k${bytes}`, stored);
  }
});

test('pages that are half empty are emptied for other sizes, and what was in them stays', async () => {
  const { port } = await started();
  const small = await storeMany(port, 'small', 4000, 4 * KIB);
  const gone = small.filter((i) => i % 2 === 0);
  await deleteMany(port, 'small', gone);
  const large = await storeMany(port, 'large', 7, 1_000_000);
  assert.is(large.length, 7, 'about half of the memory serves large items');
  assert.is((await presentOf(port, 'small', 4000)).length, small.length - gone.length);
  assert.ok((await figure(port, 'pages_emptied', 'volley')) >= 6);
  const client = new RawClient({ host: '127.0.0.1', port }).send('get small-1 small-1999\r\nquit\r\n');
  const value = Buffer.alloc(4 * KIB, 'small').toString();
  const wanted = ['1', '1999'].map((i) => `VALUE small-${i} 0 4096\r\n${value}\r\n`).join('');
  assert.is(await client.answer(), `${wanted}END\r\n`);
});

test('a full node refuses by default, and says so', async () => {
  const { port } = await started({ memoryBytes: 2 * MIB });
  await storeMany(port, 'a', 64, 32 * KIB);
  const [answer] = await tell(port, [`set b 0 0 ${32 * KIB}\r\n`, Buffer.alloc(32 * KIB), '\r\n'], 1);
  assert.is(answer, 'SERVER_ERROR out of memory storing object');
  assert.is((await presentOf(port, 'a', 64)).length, 64);
  assert.is(await figure(port, 'evictions'), 0);
});

test('with --on-full evict all stores succeed and what was read lately stays', async () => {
  const { port } = await started({ onFull: 'evict', memoryBytes: 4 * MIB });
  await storeMany(port, 'hot', 16, 32 * KIB);
  await storeMany(port, 'cold', 100, 32 * KIB);
  for (let round = 0; round < 8; round++) {
    await presentOf(port, 'hot', 16);
    const stored = await storeMany(port, `new${round}`, 40, 32 * KIB);
    assert.is(stored.length, 40);
  }
  assert.is((await presentOf(port, 'hot', 16)).length, 16, 'what was read stays');
  assert.is((await presentOf(port, 'cold', 100)).length, 0, 'what was never read went');
  assert.ok((await figure(port, 'evictions')) >= 8 * 40 - 12);
  assert.ok((await figure(port, 'evicted_unfetched')) > 250);
});

test('with --on-full evict the memory goes from one size to another', async () => {
  const { port } = await started({ onFull: 'evict', memoryBytes: 8 * MIB });
  for (const bytes of [100, 32 * KIB, MIB, 4 * KIB]) {
    const count = bytes === 100 ? 20_000 : Math.floor((16 * MIB) / bytes);
    const stored = await storeMany(port, `s${bytes}`, count, bytes);
    assert.is(stored.length, count, `${bytes} bytes`);
    const present = await presentOf(port, `s${bytes}`, count);
    await delay(1100); // uses are told apart by the second
    const bytesHeld = present.length * bytes;
    if (bytes > 100) assert.ok(bytesHeld >= 4 * MIB, `${bytesHeld} bytes of ${bytes} are held`);
  }
});

test('an item is not evicted while it is appended to or counted', async () => {
  const { port } = await started({ onFull: 'evict', memoryBytes: 2 * MIB, quarantineMs: 0 });
  const half = Buffer.alloc(400_000, 'h');
  for (let i = 0; i < 10; i++) {
    const commands = [`set grows 0 0 ${half.length}\r\n`, half, '\r\n', `append grows 0 0 3\r\nend\r\n`];
    assert.equal(await tell(port, commands, 2), ['STORED', 'STORED']);
    const client = new RawClient({ host: '127.0.0.1', port }).send('get grows\r\nquit\r\n');
    assert.is(await client.answer(), `VALUE grows 0 400003\r\n${half}end\r\nEND\r\n`);
    await storeMany(port, 'other', 1, 900_000);
  }
});

test('an answer that waits to be sent is not overwritten by what is stored behind it', async () => {
  const { port } = await started({ onFull: 'evict', memoryBytes: MIB, quarantineMs: 0 });
  const values = [Buffer.alloc(900_000, 'first'), Buffer.alloc(900_000, 'other')];
  const sets = values.map((value, i) =>
    [`set v${i} 0 0 ${value.length}\r\n`, value, '\r\n'].map((part) => Buffer.from(part)),
  );
  await tell(port, sets[0]!, 1);
  const client = new RawClient({ host: '127.0.0.1', port });
  client.send(Buffer.concat([Buffer.from('get v0\r\n'), ...sets[1]!, Buffer.from('quit\r\n')]));
  const answer = await client.answer();
  assert.ok(answer.startsWith(`VALUE v0 0 900000\r\n${values[0]!}\r\nEND\r\n`), 'the first value came whole');
});

test('a mass of deleted items rests in bounded memory, and serves at once when it is wanted', async () => {
  const { port } = await started({ quarantineMs: 60_000 });
  const stored = await storeMany(port, 'a', 512, 32 * KIB);
  await deleteMany(port, 'a', stored);
  assert.is(await figure(port, 'slots_quarantined', 'volley'), 512);
  const again = await storeMany(port, 'b', 448, 32 * KIB);
  assert.is(again.length, 448);
  const most = await figure(port, 'bytes_quarantined_max', 'volley');
  assert.is(most, (16 * 1_054_720) / 8);
  assert.ok((await figure(port, 'bytes_quarantined', 'volley')) <= most);
  assert.ok((await figure(port, 'slots_released_early', 'volley')) >= 448);
});

test.run();
