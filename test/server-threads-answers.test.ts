import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StorageNode } from '../server/index.js';
import { OPCODE } from '../server/protocol/opcodes.js';
import { request } from './support/binary-packets.js';
import { seeded } from './support/lone-session.js';
import { RawClient } from './support/memcached.js';

const test = suite('a node answers the same with reader threads and without');

const options = { port: 0, local: 'off', fabric: 'off', memoryBytes: 16 * 1024 * 1024 };
const alone = new StorageNode(options);
const threaded = new StorageNode({ ...options, threads: 3 });
const KEYS = 40;
const ROUNDS = 60;

type Random = () => number;
const pick = <T>(random: Random, of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
const keyOf = (random: Random) => `key${Math.floor(random() * KEYS)}`;

/** A reading command, or now and then one that is malformed, or changes something. */
function command(random: Random): string {
  const key = keyOf(random);
  const keys = Array.from({ length: 1 + Math.floor(random() * 5) }, () => keyOf(random)).join(' ');
  const flags = ['v', 's', 'f', 'k', 'c', 'h', 't', 'u', 'q', 'O12'].filter(() => random() < 0.4).join(' ');
  const reads = [
    `get ${keys}`,
    `gets ${keys}`,
    `mg ${key} ${flags}`,
    `mg ${key} v ${flags}`,
    'mn',
    'version',
  ];
  const wrong = [
    'get',
    'mg',
    `mg ${key} v v`,
    `get ${'x'.repeat(251)}`,
    `get a ${'y'.repeat(260)} b`,
    'bogus',
    '',
  ];
  const changes = [
    `set ${key} 1 0 5\r\nhello`,
    `delete ${key}`,
    `incr ${key} 1`,
    `mg ${key} v T100`,
    `mg ${key} v N100`,
    `mg ${key} v R30`,
    `md ${key} I T60`,
    `ms ${key} 3\r\nabc`,
    `touch ${key} 100`,
    `gat 100 ${key}`,
    `bget ${keys}`,
    `me nothing`,
    `append ${key} 0 0 2\r\nxx`,
    `used ${keys}`,
    `stats bogus`,
  ];
  const chance = random();
  if (chance < 0.94) return `${pick(random, reads)}\r\n`;
  return `${pick(random, chance < 0.97 ? wrong : changes)}\r\n`;
}

function binaryCommand(random: Random): Buffer {
  const key = keyOf(random);
  const opaque = Math.floor(random() * 2 ** 31);
  const reads = [OPCODE.get, OPCODE.getQ, OPCODE.getK, OPCODE.getKQ];
  if (random() < 0.9) return request({ opcode: pick(random, reads), key, opaque });
  if (random() < 0.8) return request({ opcode: pick(random, [OPCODE.noop, OPCODE.version]), opaque });
  return request({ opcode: pick(random, [OPCODE.delete, OPCODE.appendQ, 0x45]), key, opaque, value: '' });
}

/** Sends the bytes in pieces of any size, and returns all that is answered. */
async function talk(node: StorageNode, bytes: Buffer, seed: number): Promise<string> {
  const random = seeded(seed);
  const client = new RawClient({ host: '127.0.0.1', port: node.port });
  for (let at = 0; at < bytes.length; ) {
    const next = at + 1 + Math.floor(random() ** 3 * bytes.length);
    client.send(bytes.subarray(at, next));
    at = next;
    await new Promise(setImmediate);
  }
  // Seconds go by between one node and the other.
  return (await client.answer()).replace(/ t\d+/g, ' t+');
}

async function same(bytes: Buffer, seed: number): Promise<void> {
  const expected = await talk(alone, bytes, seed);
  const actual = await talk(threaded, bytes, seed);
  let at = 0;
  while (at < expected.length && actual[at] === expected[at]) at++;
  const part = (text: string) => JSON.stringify(text.slice(Math.max(0, at - 60), at + 60));
  assert.ok(
    actual === expected,
    `seed ${seed}, from byte ${at} on ${part(actual)} instead of ${part(expected)}`,
  );
}

test('they start', async () => {
  await alone.start();
  await threaded.start();
  const random = seeded(1);
  const values = Array.from({ length: KEYS }, (_, i) => {
    const value = 'v'.repeat(Math.floor(random() ** 4 * 100_000));
    return `set key${i} ${i} ${i % 3 === 0 ? 1000 : 0} ${value.length}\r\n${value}\r\n`;
  });
  await same(Buffer.from(`${values.join('')}quit\r\n`), 1);
});

test('commands of the text and meta protocols, also malformed ones, cut anywhere', async () => {
  for (let seed = 1; seed <= ROUNDS; seed++) {
    const random = seeded(1000 + seed);
    const commands = Array.from({ length: 40 }, () => command(random)).join('');
    await same(Buffer.from(`${commands}quit\r\n`, 'latin1'), seed);
  }
});

test('commands of the binary protocol', async () => {
  for (let seed = 1; seed <= ROUNDS; seed++) {
    const random = seeded(2000 + seed);
    const commands = Array.from({ length: 40 }, () => binaryCommand(random));
    await same(Buffer.concat([...commands, request({ opcode: OPCODE.quit })]), seed);
  }
});

test('retrievals of more keys than a segment has, with one among them that is none', async () => {
  const many = Array.from({ length: 3000 }, (_, i) => `key${i % (KEYS + 10)}`);
  await same(Buffer.from(`get ${many.join(' ')}\r\nquit\r\n`), 7);
  many[2000] = 'x'.repeat(300);
  await same(Buffer.from(`get ${many.join(' ')}\r\nget key1\r\nquit\r\n`), 8);
});

test('a line without an end is refused', async () => {
  await same(Buffer.alloc(40_000, 'x'), 9);
});

test('most of that was answered by reader threads', async () => {
  const volley = new RawClient({ host: '127.0.0.1', port: threaded.port }).send('stats volley\r\nquit\r\n');
  const moves = Number(/thread_moves (\d+)/.exec(await volley.answer())![1]);
  assert.ok(moves > ROUNDS / 2 && moves < 2 * ROUNDS + 10, `${moves} connections moved`);
  assert.ok(threaded.counters.cmdGet > 1000);
  const [there, here] = [threaded, alone].map(({ counters }) => ({ ...counters, classes: [], prefixes: [] }));
  assert.equal(
    { ...there, movedConnections: 0, totalConnections: 0, currConnections: 0, bytesRead: 0, bytesWritten: 0 },
    { ...here, totalConnections: 0, currConnections: 0, bytesRead: 0, bytesWritten: 0 },
  );
});

test('they stop', async () => {
  await alone.stop();
  await threaded.stop();
});

test.run();
