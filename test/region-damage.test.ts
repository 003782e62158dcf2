// Values that were damaged in a region file: whoever asks, however often and over however many threads, gets none of them.
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { StorageNode } from '../server/index.js';
import { askNode, clientOf, RunningNodes, setting } from './support/running-nodes.js';

const test = suite('damaged values of a region file');
const MIB = 1024 * 1024;
const file = `/dev/shm/volley-test-${process.pid}.region`;
const nodes = new RunningNodes({ memoryBytes: 32 * MIB, region: file });
process.once('exit', () => rmSync(file, { force: true }));

test.after.each(async () => {
  await nodes.stop();
  rmSync(file, { force: true });
});

/** Changes one byte in the middle of the values that begin so. */
function damage(beginnings: readonly string[], offset: number): void {
  const bytes = readFileSync(file);
  const fd = openSync(file, 'r+');
  for (const beginning of beginnings) {
    const at = bytes.indexOf(beginning);
    assert.ok(at >= 0, `${beginning} is in the file`);
    writeSync(fd, Buffer.from('?'), 0, 1, at + offset);
  }
  closeSync(fd);
}

/** A node that took up `good` and the keys `bad0` … whose values of so many bytes are damaged. */
async function withDamage(count: number, valueBytes: number, threads: number): Promise<StorageNode> {
  const node = await nodes.start();
  const keys = Array.from({ length: count }, (_, i) => `bad${i}`);
  const value = (key: string) => `<${key}>`.padEnd(valueBytes, 'v');
  await askNode(node, setting('good', 'whole') + keys.map((key) => setting(key, value(key))).join(''));
  await nodes.stop();
  damage(
    keys.map((key) => value(key).slice(0, 12)),
    9,
  );
  return nodes.start({ threads });
}

const stat = async (node: StorageNode, name: string) =>
  new RegExp(`STAT ${name} (.*)\r`).exec(await askNode(node, 'stats volley\r\n'))?.[1];

const GOOD = 'VALUE good 0 5\r\nwhole\r\n';

for (const [what, command, answer] of [
  ['get', 'get bad0 good bad0 bad0\r\n', `${GOOD}END\r\n`],
  ['gat', 'gat 0 bad0 bad0 good\r\n', `${GOOD}END\r\n`],
  ['mg', 'mg bad0 v\r\nmg bad0 v\r\n', 'EN\r\nEN\r\n'],
  ['used', 'used bad0 bad0 good bad0\r\nget bad0\r\n', 'USED 1\r\nEND\r\n'],
  ['append', 'append bad0 0 0 1\r\nx\r\nget bad0\r\n', 'NOT_STORED\r\nEND\r\n'],
  ['touch', 'touch bad0 100\r\nget bad0\r\n', 'NOT_FOUND\r\nEND\r\n'],
  ['add', 'add bad0 0 0 1\r\nx\r\nget bad0\r\n', 'STORED\r\nVALUE bad0 0 1\r\nx\r\nEND\r\n'],
] as const) {
  test(`${what} gives no byte of a damaged value, also when it names the key twice`, async () => {
    const node = await withDamage(1, 5000, 1);
    assert.is(await askNode(node, command), answer);
    assert.is(await stat(node, 'damaged_items'), '1');
  });
}

test('no reader thread gives a byte of a damaged value while others look at it, too', async () => {
  const KEYS = 20;
  const CLIENTS = 24;
  const node = await withDamage(KEYS, 1_000_000, 4);
  const keys = Array.from({ length: KEYS }, (_, i) => `bad${i}`);
  const ask = (i: number) => {
    // Each key is the first one that some client asks for; a used is the main thread's.
    const turned = [...keys.slice(i % KEYS), ...keys.slice(0, i % KEYS)].join(' ');
    const asked = `${i % 3 === 0 ? 'used' : 'get'} ${turned}\r\n`;
    return clientOf(node).send(`${asked}get good ${turned}\r\nquit\r\n`).answer();
  };
  const answers = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => ask(i)));
  for (const [i, answer] of answers.entries()) {
    assert.is(answer.slice(0, 200), `${i % 3 === 0 ? 'USED 0\r\n' : 'END\r\n'}${GOOD}END\r\n`);
  }
  assert.is(await stat(node, 'damaged_items'), String(KEYS));
});

test.run();
