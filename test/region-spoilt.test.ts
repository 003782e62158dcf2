// Region files that hold anything: whatever a node makes of them, it gives out no wrong byte.
//
//   VOLLEY_SEED=k     another sequence of files
//   VOLLEY_FILES=n    how many files (80)

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type NodeOptions, StorageNode } from '../server/index.js';
import { isVolleyError } from '../src/errors.js';
import { Random } from './support/random.js';
import { askNode, hit, setting } from './support/running-nodes.js';
import { SEED } from './support/seed.js';

const FILES = Number(process.env.VOLLEY_FILES ?? 80);
const MIB = 1024 * 1024;
const KEYS = 120;
const TIMES = [1, 1, 100, 2000];
const OLDER = 'an older value';
const HEADER_BYTES = 4096;
/** docs/protocol.md, "Region". */
const LEDGER_OFFSET = 1024;

const test = suite('region file that is spoilt');
const file = `/dev/shm/volley-test-${process.pid}.region`;
const random = new Random(SEED);
process.once('exit', () => rmSync(file, { force: true }));

const options: Partial<NodeOptions> = {
  port: 0,
  local: 'off',
  fabric: 'off',
  memoryBytes: 8 * MIB,
  region: file,
};

/** Values that are each of one key alone, of a few sizes. */
const items = new Map(
  Array.from({ length: KEYS }, (_, i) => [`key${i}`, `<key${i}>`.repeat(TIMES[i % TIMES.length]!)] as const),
);

/** The file that a node leaves behind with all the items, some of them replaced and some others deleted. */
async function wholeFile(): Promise<Buffer> {
  rmSync(file, { force: true });
  const node = new StorageNode(options);
  try {
    await node.start();
    const keys = [...items.keys()];
    const first = keys.map((key) => setting(key, OLDER)).join('');
    const gone = keys.map((key) => `${setting(`${key}-gone`, 'gone')}delete ${key}-gone\r\n`).join('');
    await askNode(node, first + gone + [...items].map(([key, value]) => setting(key, value)).join(''));
  } finally {
    await node.stop();
  }
  return readFileSync(file);
}

/** Where slots begin that hold an item, or held one. */
function slotsOf(whole: Buffer): number[] {
  const slots: number[] = [];
  const arena = Number(whole.readBigUInt64LE(56));
  for (let at = whole.indexOf('ITEM', arena); at >= 0; at = whole.indexOf('ITEM', at + 4)) slots.push(at);
  return slots;
}

/** Where damage begins: in the headers, in the directory or the table, in slots, or anywhere. */
function placeIn(whole: Buffer, slots: readonly number[]): number {
  const arena = Number(whole.readBigUInt64LE(56));
  const inHead = () => random.pick(slots) + random.between(0, 100);
  const inValue = () => random.pick(slots) + random.between(100, 2000);
  const places = [
    () => random.between(0, HEADER_BYTES - 1),
    () => random.between(HEADER_BYTES, HEADER_BYTES + 100),
    () => random.between(HEADER_BYTES, arena - 1),
    () => random.between(0, whole.length - 1),
    ...Array(4).fill(inHead),
    ...Array(4).fill(inValue),
  ];
  return Math.min(random.pick(places)(), whole.length - 1);
}

/** A copy with damage of some kind: bytes of chance, zeros, another part of the file, one bit. */
function spoilt(whole: Buffer, slots: readonly number[]): Buffer {
  const copy = Buffer.from(whole);
  for (let left = random.between(1, 5); left > 0; left--) {
    const at = placeIn(whole, slots);
    const length = Math.min(random.pick([1, 2, 8, 64, 4096, 40_000]), copy.length - at);
    const from = random.between(0, copy.length - length);
    const kinds = [
      () => random.bytes(length).copy(copy, at),
      () => copy.fill(0, at, at + length),
      () => copy.copyWithin(at, from, from + length),
      () => copy.writeUInt8(copy[at]! ^ (1 << random.between(0, 7)), at),
    ];
    random.pick(kinds)();
  }
  return copy;
}

/** Demands of each key that it holds its value or nothing, and that the node can be used. */
async function check(node: StorageNode): Promise<number> {
  let held = 0;
  let rest = await askNode(node, [...items.keys()].map((key) => `get ${key}\r\n`).join(''));
  for (const [key, value] of items) {
    const may = ['END\r\n', hit(key, value), hit(key, OLDER)];
    const answer = may.find((one) => rest.startsWith(one));
    assert.ok(answer !== undefined, `${key} is answered ${JSON.stringify(rest.slice(0, 200))}`);
    if (answer !== may[0]) held++;
    rest = rest.slice(answer!.length);
  }
  assert.is(await askNode(node, `${setting('new', 'item')}get new\r\n`), `STORED\r\n${hit('new', 'item')}`);
  return held;
}

test(`of ${FILES} spoilt files each is refused, or its node gives out no wrong byte and can be used`, async () => {
  const whole = await wholeFile();
  const slots = slotsOf(whole);
  const count = { refused: 0, taken: 0, items: 0 };
  console.log(`seed ${SEED}`);
  for (let i = 0; i < FILES; i++) {
    const bytes = spoilt(whole, slots);
    writeFileSync(file, bytes);
    let node: StorageNode;
    try {
      node = new StorageNode(options);
    } catch (error) {
      if (!isVolleyError(error)) throw error;
      // A node that refused a file has let go of it, else the next one could not have it (ERR_VOLLEY_FILE).
      assert.is(error.code, 'ERR_VOLLEY_LAYOUT', error.message);
      if (/cannot be taken up again/.test(error.message)) {
        assert.ok(readFileSync(file).equals(bytes), `it is left as it is: ${error.message}`);
      }
      count.refused++;
      continue;
    }
    await node.start();
    count.items += await check(node).finally(() => node.stop());
    count.taken++;
  }
  console.log(JSON.stringify(count));
  assert.ok(count.taken > FILES / 2, JSON.stringify(count));
  assert.ok(count.items > (count.taken * KEYS) / 2, 'most items were there all the same');
});

test('a file is not believed for what it tells of an earlier start of a node', async () => {
  const bytes = await wholeFile();
  // The owner's page is the first; its ledger begins with what tells the start, which each item has that was found intact since.
  const start = bytes.readBigUInt64LE(LEDGER_OFFSET);
  const value = bytes.indexOf('<key2>'.repeat(100));
  bytes.writeUInt8(bytes[value]! ^ 1, value);
  for (const told of [start, start - 1n, 0n]) {
    bytes.writeBigUInt64LE(told, LEDGER_OFFSET);
    writeFileSync(file, bytes);
    const node = new StorageNode(options);
    await node.start();
    try {
      assert.is(await askNode(node, 'get key2\r\n'), 'END\r\n');
    } finally {
      await node.stop();
    }
  }
});

test.run();
