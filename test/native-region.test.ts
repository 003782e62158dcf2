import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { native, type Region } from '../src/native.js';
import { placeItem, wholeArena } from './support/items.js';

const PAGE = 1_054_720;
const test = suite('native region');

function makeRegion(pages = 1, tableItems = 1000): Region {
  return new (native().Region)({ arenaBytes: pages * PAGE, tableItems, hugepages: false });
}

function find(region: Region, ...keys: string[]): number[] {
  const bytes = Buffer.from(keys.join(''));
  const ranges = new Uint32Array(keys.length * 2);
  let at = 0;
  keys.forEach((key, i) => {
    ranges[2 * i] = at;
    at += Buffer.byteLength(key);
    ranges[2 * i + 1] = at;
  });
  const out = new Float64Array(keys.length);
  region.find(bytes, ranges, keys.length, out);
  return [...out];
}

/** How many mappings of regions this process has with these rights. */
function mappings(rights: string): number {
  const lines = readFileSync('/proc/self/maps', 'utf8').split('\n');
  return lines.filter((line) => line.includes('volley-region') && line.includes(` ${rights} `)).length;
}

function socketPath(): string {
  return join(tmpdir(), `volley-test-${process.pid}-${randomBytes(4).toString('hex')}.sock`);
}

test('an item is found under its key once it is linked, and no longer once it is unlinked', () => {
  const region = makeRegion();
  const arena = wholeArena(region);
  placeItem(arena, 4096, 'alpha', Buffer.from('one'));
  arena.writeUInt32LE(0, 4096); // the magic is the region's to write
  assert.equal(find(region, 'alpha'), [-1]);
  assert.is(region.link(4096), -1);
  assert.equal(find(region, 'alpha', 'beta', 'alph', 'alphaa'), [4096, -1, -1, -1]);
  assert.is(region.itemCount, 1);
  assert.is(region.unlink(4096), true);
  assert.is(region.unlink(4096), false);
  assert.equal(find(region, 'alpha'), [-1]);
  assert.is(region.itemCount, 0);
  region.close();
});

test('linking a key again tells which slot it replaced', () => {
  const region = makeRegion();
  const arena = wholeArena(region);
  placeItem(arena, 0, 'key', Buffer.from('old'));
  placeItem(arena, 1024, 'key', Buffer.from('newer'));
  assert.is(region.link(0), -1);
  assert.is(region.link(1024), 0);
  assert.equal(find(region, 'key'), [1024]);
  assert.is(region.unlink(0), false);
  assert.is(region.itemCount, 1);
  region.close();
});

test('a table takes the items it was made for, loses none, and says when it is full', () => {
  const items = 2000;
  const region = makeRegion(1, items);
  const arena = wholeArena(region);
  const slotBytes = 256;
  let linked = 0;
  const full: number[] = [];
  for (let i = 0; i < PAGE / slotBytes - 1; i++) {
    placeItem(arena, i * slotBytes, `key-${i}`, Buffer.from(`value ${i}`));
    if (region.link(i * slotBytes) === -2) full.push(i);
    else linked++;
  }
  assert.ok(linked >= items, `${linked} of ${items} fit`);
  assert.ok(full.length > 0 || linked < region.info.bucketCount * 4);
  for (let i = 0; i < PAGE / slotBytes - 1; i++) {
    assert.is(find(region, `key-${i}`)[0], full.includes(i) ? -1 : i * slotBytes);
  }
  region.close();
});

test('a slot that holds no well-formed item is refused and changes nothing', () => {
  const region = makeRegion();
  const arena = wholeArena(region);
  const lies: [string, (slot: number) => void][] = [
    ['value beyond the arena', (slot) => arena.writeUInt32LE(0xffffffff, slot + 4)],
    ['key of no bytes', (slot) => arena.writeUInt16LE(0, slot + 32)],
    ['key longer than its text', (slot) => arena.writeUInt16LE(200, slot + 32)],
    ['value before the text', (slot) => arena.writeUInt32LE(64, slot + 36)],
    ['value not aligned', (slot) => arena.writeUInt32LE(129, slot + 36)],
  ];
  for (const [what, lie] of lies) {
    placeItem(arena, 2048, 'key', Buffer.from('value'));
    lie(2048);
    assert.throws(() => region.link(2048), /no well-formed item/, what);
  }
  assert.throws(() => region.link(63), /no slot begins/);
  assert.throws(() => region.link(PAGE), /no slot begins/);
  assert.throws(() => region.link(-1), /whole number/);
  assert.is(region.itemCount, 0);
  region.close();
});

test('find refuses ranges outside the bytes it was given', () => {
  const region = makeRegion();
  const out = new Float64Array(1);
  assert.throws(() => region.find(Buffer.from('abc'), Uint32Array.of(0, 4), 1, out), /outside/);
  assert.throws(() => region.find(Buffer.from('abc'), Uint32Array.of(2, 1), 1, out), /outside/);
  assert.throws(() => region.find(Buffer.from('abc'), Uint32Array.of(0, 3), 2, out), /count/);
  region.close();
});

test('a window stays readable after the region was closed', () => {
  const region = makeRegion();
  const arena = wholeArena(region);
  arena.write('still here', 5000);
  region.close();
  assert.is(arena.toString('latin1', 5000, 5010), 'still here');
  assert.throws(() => region.itemCount, /closed/);
});

test('the region is handed out over a socket that only its owner may use, and the socket goes away with it', async () => {
  const region = makeRegion();
  const path = socketPath();
  region.share(path);
  assert.is(statSync(path).mode & 0o777, 0o600);
  const mapped = await native().openLocalRegion(path, 1000);
  assert.equal(mapped.info, region.info);
  mapped.close();
  region.unshare();
  assert.not.ok(existsSync(path));
  region.close();
});

test('what is handed out cannot be mapped writable, written or resized, not even reopened', async () => {
  const region = makeRegion();
  const path = socketPath();
  region.share(path);
  const before = mappings('rw-s');
  const mapped = await native().openLocalRegion(path, 1000);
  assert.ok(mappings('rw-s') <= before, 'only the owner maps it writable');
  assert.is(mappings('r--s'), 1, 'the reader maps it read-only');
  // GuestMemory.map maps writable: every descriptor of the region, also one reopened for writing, must be refused.
  let tried = 0;
  for (const name of readdirSync('/proc/self/fd')) {
    let target = '';
    try {
      target = readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      continue;
    }
    if (!target.includes('volley-region')) continue;
    tried++;
    assert.throws(() => native().GuestMemory.map(Number(name), 4096), /map/);
    const reopened = openSync(`/proc/self/fd/${name}`, 'r+');
    assert.throws(() => native().GuestMemory.map(reopened, 4096), /map/);
    assert.throws(() => ftruncateSync(reopened, 0), /EPERM/);
    assert.throws(() => writeSync(reopened, 'x', 0), /EPERM/);
    closeSync(reopened);
  }
  assert.ok(tried >= 2);
  mapped.close();
  region.close();
});

test('a region without hugepages to back it says so and works', () => {
  const region = new (native().Region)({ arenaBytes: PAGE * 8, tableItems: 1000, hugepages: true });
  if (region.info.backingPageBytes === 4096) assert.match(region.notice!, /hugepages/);
  else assert.is(region.notice, null);
  region.close();
});

test('a region that is too small for one page is refused with the reason', () => {
  assert.throws(
    () => makeRegion(0),
    (error: Error & { code?: string }) => error.code === 'ERR_VOLLEY_MEMORY',
  );
});

test.run();
