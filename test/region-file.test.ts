import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster } from '../client/index.js';
import { StorageNode } from '../server/index.js';
import type { NodeOptions } from '../server/options.js';
import { isVolleyError } from '../src/errors.js';
import { ask, setItem } from './support/raw-client.js';

const test = suite('region file');
const MIB = 1024 * 1024;
const stem = `/dev/shm/volley-test-${process.pid}`;
const file = `${stem}.region`;
process.once('exit', () => rmSync(file, { force: true }));

const running = new Set<StorageNode>();

async function started(options: Partial<NodeOptions> = {}): Promise<StorageNode> {
  const node = new StorageNode({
    port: 0,
    local: 'off',
    fabric: 'off',
    memoryBytes: 8 * MIB,
    region: file,
    ...options,
  });
  running.add(node);
  await node.start();
  return node;
}

async function restarted(node: StorageNode, meanwhile: () => void = () => {}): Promise<StorageNode> {
  await node.stop();
  running.delete(node);
  meanwhile();
  return started();
}

const say = async (node: StorageNode, text: string, end = 'END\r\n') =>
  (await ask(node.port, text, end)).toString('latin1');

async function stat(node: StorageNode, name: string): Promise<string> {
  const text = await say(node, 'stats volley\r\n');
  return new RegExp(`STAT ${name} (.*)\r`).exec(text)?.[1] ?? 'missing';
}

/** The code and message of the error that a start fails with. */
function refusal(options: Partial<NodeOptions> = {}): string {
  try {
    new StorageNode({ memoryBytes: 8 * MIB, region: file, fabric: 'off', ...options });
  } catch (error) {
    if (isVolleyError(error) || error instanceof Error)
      return `${(error as { code?: string }).code}: ${error.message}`;
  }
  return 'none';
}

/** Changes bytes of the file where `marker` stands. */
function corrupt(marker: string, offset: number, bytes: Buffer): void {
  const at = readFileSync(file).indexOf(marker);
  assert.ok(at >= 0, `${marker} is in the file`);
  const fd = openSync(file, 'r+');
  writeSync(fd, bytes, 0, bytes.length, at + offset);
  closeSync(fd);
}

test.after.each(async () => {
  for (const node of running) await node.stop();
  running.clear();
  rmSync(file, { force: true });
});

test('items, flags, exptimes and cas uniques are there again, under another epoch', async () => {
  let node = await started();
  const soon = Math.floor(Date.now() / 1000) + 3600;
  await say(
    node,
    `set a 7 0 5\r\nhello\r\nset b 0 ${soon} 3\r\nbye\r\nset gone 0 0 1\r\nx\r\ndelete gone\r\n`,
    'DELETED\r\n',
  );
  await setItem(node.port, 'large', Buffer.alloc(900_000, 'abc'));
  const before = { epoch: node.epoch, items: await say(node, 'gets a b gone\r\n') };
  node = await restarted(node);
  assert.is.not(node.epoch, before.epoch);
  assert.equal(node.restored, { items: 3, damaged: 0, replaced: 0 });
  assert.is(await say(node, 'gets a b gone\r\n'), before.items);
  assert.match(await say(node, 'mg b t\r\n', '\r\n'), /^HD t(359\d|3600)\r\n$/);
  assert.ok((await say(node, 'get large\r\n')).includes(Buffer.alloc(900_000, 'abc').toString()));
  assert.match(await say(node, 'stats\r\n'), /STAT curr_items 3\r\n/);
});

test('a cas unique is never given out twice, not even when its item is gone', async () => {
  let node = await started();
  await say(node, 'set a 0 0 1\r\n1\r\n', 'STORED\r\n');
  const casOf = async (key: string) => Number(/ (\d+)\r/.exec(await say(node, `gets ${key}\r\n`))![1]);
  const first = await casOf('a');
  await say(node, 'delete a\r\n', 'DELETED\r\n');
  node = await restarted(node);
  await say(node, 'set a 0 0 1\r\n2\r\n', 'STORED\r\n');
  assert.ok((await casOf('a')) > first);
});

test('what was flushed stays flushed, and a flush that is yet to come comes', async () => {
  let node = await started();
  await say(node, 'set a 0 0 1\r\n1\r\nflush_all\r\n', 'OK\r\n');
  await say(node, 'set b 0 0 1\r\n1\r\nflush_all 2\r\n', 'OK\r\n');
  node = await restarted(node);
  assert.is(await say(node, 'get a\r\n'), 'END\r\n');
  assert.match(await say(node, 'get b\r\n'), /^VALUE b/);
  const endMs = Date.now() + 5000;
  while ((await say(node, 'get b\r\n')) !== 'END\r\n') assert.ok(Date.now() < endMs, 'the flush came');
});

test('memory that was free or rested is free again, and what is stored can be replaced and deleted', async () => {
  let node = await started();
  for (let i = 0; i < 7; i++) await setItem(node.port, `large-${i}`, Buffer.alloc(900_000, `${i}`));
  for (let i = 0; i < 6; i++) await say(node, `delete large-${i}\r\n`, 'DELETED\r\n');
  node = await restarted(node);
  for (let i = 0; i < 6; i++) await setItem(node.port, `other-${i}`, Buffer.alloc(900_000, `${i}`));
  await setItem(node.port, 'large-6', Buffer.from('small'));
  assert.is(await say(node, 'get large-6\r\n'), 'VALUE large-6 0 5\r\nsmall\r\nEND\r\n');
  node = await restarted(node);
  assert.is(node.restored!.items, 7);
});

test('an image is loaded out of mapped memory before and after', async () => {
  const socket = `${stem}.sock`;
  const image = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => (i * 31 + (i >> 8)) & 255));
  const source = join(tmpdir(), `volley-test-${process.pid}.img`);
  writeFileSync(source, image);
  try {
    let node = await started({ local: socket });
    for (const round of ['upload', 'after']) {
      const cluster = await Cluster.connect({ nodes: [node.name], transport: 'local' });
      if (round === 'upload') await cluster.upload(source, { name: 'image' });
      const manifest = await cluster.open('image');
      assert.ok((await cluster.read(manifest, 0, image.length)).equals(image), round);
      await cluster.close();
      await node.stop();
      running.delete(node);
      node = await started({ local: socket });
    }
  } finally {
    rmSync(source, { force: true });
  }
});

test('a value that was changed in the file is not given out', async () => {
  let node = await started();
  await setItem(node.port, 'good', Buffer.from('a value that stays'));
  await setItem(node.port, 'bad', Buffer.from('a value that suffers'));
  node = await restarted(node, () => corrupt('value that suffers', 2, Buffer.from('?')));
  assert.is(node.restored!.items, 2);
  assert.match(await say(node, 'get bad good\r\n'), /^VALUE good 0 18\r\na value that stays\r\nEND\r\n$/);
  assert.is(await stat(node, 'damaged_items'), '1');
});

test('a slot whose header or key was changed holds no item', async () => {
  let node = await started();
  await setItem(node.port, 'first-key', Buffer.from('first value'));
  await setItem(node.port, 'second-key', Buffer.from('second value'));
  await setItem(node.port, 'third-key', Buffer.from('third value'));
  node = await restarted(node, () => {
    corrupt('VALUE first-key', 6, Buffer.from('X'));
    corrupt('VALUE second-key', -50, Buffer.from([0xff, 0xff, 0xff, 0xff])); // lengths in the header before it
  });
  assert.equal(node.restored, { items: 1, damaged: 2, replaced: 0 });
  assert.is(
    await say(node, 'get first-key second-key Xirst-key third-key\r\n'),
    'VALUE third-key 0 11\r\nthird value\r\nEND\r\n',
  );
});

test('of two items of a key, which a kill can leave, the newer one stays, wherever it lies', async () => {
  let node = await started({ quarantineMs: 0 });
  await setItem(node.port, 'other', Buffer.from('x'));
  await setItem(node.port, 'up', Buffer.from('up old value'));
  await setItem(node.port, 'down', Buffer.from('down old value'));
  await setItem(node.port, 'up', Buffer.from('up new value'));
  await say(node, 'delete other\r\n', 'DELETED\r\n');
  await delay(600); // its slot, the lowest, is free then
  await setItem(node.port, 'down', Buffer.from('down new value'));
  node = await restarted(node, () => {
    // A slot begins 128 bytes before a value with so short a key; what was replaced lacks but its magic.
    for (const old of ['up old value', 'down old value']) corrupt(old, -128, Buffer.from('ITEM'));
  });
  assert.equal(node.restored, { items: 2, damaged: 0, replaced: 2 });
  const answer = await say(node, 'get up down\r\n');
  assert.is(answer, 'VALUE up 0 12\r\nup new value\r\nVALUE down 0 14\r\ndown new value\r\nEND\r\n');
});

test('a value that looks like items does not become one when its page is cut anew', async () => {
  let node = await started({ memoryBytes: 2 * MIB });
  const forged = Buffer.alloc(192);
  forged.writeUInt32LE(0x4d455449, 0);
  forged.writeUInt32LE(3, 4);
  forged.writeUInt16LE(4, 32);
  forged.writeUInt16LE(20, 34);
  forged.writeUInt32LE(128, 36);
  await setItem(node.port, 'large', Buffer.alloc(1_000_000, forged));
  await say(node, 'delete large\r\n', 'DELETED\r\n');
  await node.stop();
  node = await started({ memoryBytes: 2 * MIB });
  await setItem(node.port, 'small', Buffer.from('x'));
  await node.stop();
  node = await started({ memoryBytes: 2 * MIB });
  assert.equal(node.restored, { items: 1, damaged: 0, replaced: 0 });
});

test('one node at a time has the file', async () => {
  await started();
  assert.match(refusal(), /^ERR_VOLLEY_FILE: .*a running node has it/);
});

test('a file of another size, of something else, or cut off is refused and left as it is', async () => {
  const node = await started();
  await say(node, 'set a 0 0 1\r\n1\r\n', 'STORED\r\n');
  await node.stop();
  assert.match(refusal({ memoryBytes: 9 * MIB }), /^ERR_VOLLEY_LAYOUT: .*has 8 MiB.*not 9 MiB/);
  const whole = readFileSync(file);
  truncateSync(file, whole.length - 4096);
  assert.match(refusal(), /^ERR_VOLLEY_LAYOUT: .*does not fit the memory/);
  writeFileSync(file, Buffer.from('#!/bin/sh\n'.repeat(1000)));
  assert.match(refusal(), /^ERR_VOLLEY_LAYOUT: .*(no region header|something else)/);
  assert.is(readFileSync(file, 'latin1'), '#!/bin/sh\n'.repeat(1000));
  const lie = Buffer.from(whole);
  lie.writeUInt32LE(9, 2048 + 8);
  writeFileSync(file, lie);
  assert.match(refusal(), /^ERR_VOLLEY_LAYOUT: .*version is not known/);
  lie.writeUInt32LE(2, 2048 + 8);
  lie.writeUInt8(lie.readUInt8(2048 + 64) ^ 1, 2048 + 64);
  writeFileSync(file, lie);
  assert.match(refusal(), /^ERR_VOLLEY_LAYOUT: .*checksum/);
});

test('a file that a node was stopped while making is made anew', async () => {
  writeFileSync(file, Buffer.alloc(10_000), { mode: 0o600 });
  const node = await started();
  assert.is(node.restored, null);
});

test('a file on a disk, or open to others, is refused', () => {
  const onDisk = join('/var/tmp', `volley-test-${process.pid}.region`);
  assert.match(refusal({ region: onDisk }), /^ERR_VOLLEY_FILE: .*not in memory/);
  assert.not.ok(existsSync(onDisk));
  writeFileSync(file, '', { mode: 0o644 });
  assert.match(refusal(), /^ERR_VOLLEY_FILE: .*mode 600/);
});

test('a node that ends in the middle of a page directory that lies takes up the rest', async () => {
  let node = await started();
  await setItem(node.port, 'kept', Buffer.from('x'));
  await setItem(node.port, 'lost', Buffer.alloc(500_000));
  node = await restarted(node, () => {
    const directory = Buffer.alloc(8 * 4);
    const fd = openSync(file, 'r+');
    readSync(fd, directory, 0, directory.length, 4096);
    const page = [...new Uint32Array(directory.buffer, directory.byteOffset, 8)].findIndex(
      (bytes) => bytes > 400_000,
    );
    writeSync(fd, Buffer.from([1, 2, 3, 4]), 0, 4, 4096 + 4 * page);
    closeSync(fd);
  });
  assert.equal(node.restored, { items: 1, damaged: 1, replaced: 0 });
  assert.match(await say(node, 'get kept lost\r\n'), /^VALUE kept 0 1\r\nx\r\nEND\r\n$/);
});

test.run();
