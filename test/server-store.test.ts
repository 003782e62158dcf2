import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { commit } from '../server/commit.js';
import { addTo } from '../server/numbers.js';
import type { StoreMode } from '../server/protocol/commands.js';
import { NO_MEMORY, TOO_LARGE } from '../server/store.js';
import { Sweeper } from '../server/sweeper.js';
import { LoneStore } from './support/lone-session.js';

const test = suite('store');

interface Put {
  mode?: StoreMode;
  flags?: number;
  exptime?: number;
  cas?: bigint;
}

class Handle extends LoneStore {
  put(
    key: string,
    value: string | Buffer,
    { mode = 'set', flags = 0, exptime = 0, cas = 0n }: Put = {},
  ): string {
    const bytes = Buffer.from(key);
    const data = Buffer.from(value);
    const slot = this.store.reserve(bytes, 0, bytes.length, flags, exptime, data.length);
    if (slot === TOO_LARGE) return 'too-large';
    if (slot === NO_MEMORY) return 'no-memory';
    this.store.write(slot, 0, data, 0, data.length);
    return commit(this.store, slot, mode, cas);
  }

  slot(key: string): number {
    return this.store.findOne(Buffer.from(key), 0, Buffer.byteLength(key));
  }

  get(key: string): string | null {
    const slot = this.slot(key);
    if (slot < 0) return null;
    const start = this.store.arena.valueStart(slot);
    return this.store.arena.range(start, start + this.store.arena.valueBytes(slot)).toString();
  }
}

test('an item lies in its slot as docs/protocol.md says', () => {
  const handle = new Handle();
  handle.put('some-key', 'value', { flags: 4711 });
  const slot = handle.slot('some-key');
  const text = 'VALUE some-key 4711 5\r\n';
  const { arena } = handle.store;
  assert.is(arena.u32(slot), 0x4d455449);
  assert.is(arena.u32(slot + 24), 4711);
  assert.is(arena.valueStart(slot) % 64, 0);
  const bytes = arena.range(arena.textStart(slot), arena.valueStart(slot) + 7);
  assert.is(bytes.toString(), `${text}value\r\n`);
  assert.is(arena.key(slot).toString(), 'some-key');
});

test('what is set is found, replaced in a new slot, and removed', () => {
  const handle = new Handle();
  assert.is(handle.put('a', '1'), 'stored');
  const first = handle.slot('a');
  assert.is(handle.put('a', '2'), 'stored');
  assert.is.not(handle.slot('a'), first);
  assert.is(handle.get('a'), '2');
  assert.is(handle.store.itemCount, 1);
  assert.is(handle.slots.resting, 1);
  handle.store.remove(handle.slot('a'));
  assert.is(handle.get('a'), null);
  assert.is(handle.store.itemCount, 0);
  assert.is(handle.store.tally.itemBytes, 0);
});

test('add, replace, append, prepend and cas keep their conditions', () => {
  const handle = new Handle();
  assert.is(handle.put('a', 'x', { mode: 'replace' }), 'not-stored');
  assert.is(handle.put('a', 'x', { mode: 'append' }), 'not-stored');
  assert.is(handle.put('a', 'x', { mode: 'cas', cas: 1n }), 'not-found');
  assert.is(handle.put('a', 'b', { mode: 'add', flags: 9 }), 'stored');
  assert.is(handle.put('a', 'x', { mode: 'add' }), 'not-stored');
  assert.is(handle.put('a', 'c', { mode: 'append', flags: 1 }), 'stored');
  assert.is(handle.put('a', 'a', { mode: 'prepend' }), 'stored');
  assert.is(handle.get('a'), 'abc');
  assert.is(handle.store.arena.flags(handle.slot('a')), 9, 'append keeps the flags');
  const cas = BigInt(handle.store.arena.cas(handle.slot('a')));
  assert.is(handle.put('a', 'x', { mode: 'cas', cas: cas + 1n }), 'exists');
  assert.is(handle.put('a', 'x', { mode: 'append', cas: cas + 1n }), 'exists');
  assert.is(handle.put('a', 'd', { mode: 'cas', cas }), 'stored');
  assert.is(handle.get('a'), 'd');
});

test('exptimes are relative up to 30 days, then absolute, and negative ones have passed', () => {
  const handle = new Handle();
  const month = 30 * 24 * 3600;
  const { now } = handle.clock;
  handle.put('relative', '1', { exptime: 100 });
  handle.put('month', '1', { exptime: month });
  handle.put('absolute', '1', { exptime: now + 100 });
  handle.put('past', '1', { exptime: month + 1 });
  handle.put('negative', '1', { exptime: -1 });
  handle.put('never', '1');
  const there = () =>
    ['relative', 'month', 'absolute', 'past', 'negative', 'never'].filter((key) => handle.get(key) !== null);
  assert.equal(there(), ['relative', 'month', 'absolute', 'never']);
  handle.clock.now += 99;
  assert.equal(there(), ['relative', 'month', 'absolute', 'never']);
  handle.clock.now += 1;
  assert.equal(there(), ['month', 'never']);
  handle.clock.now += month;
  assert.equal(there(), ['never']);
  assert.is(handle.store.itemCount, 1, 'what expired was taken away when it was asked for');
  assert.is(handle.store.tally.expiringItems, 0);
});

test('an item that has expired does not stop an add, and a touch keeps an item', () => {
  const handle = new Handle();
  handle.put('a', '1', { exptime: 10 });
  handle.put('b', '1', { exptime: 10 });
  handle.store.touch(handle.slot('b'), 0);
  handle.clock.now += 10;
  assert.is(handle.put('a', '2', { mode: 'add' }), 'stored');
  assert.is(handle.get('b'), '1');
  assert.is(handle.store.tally.expiringItems, 0);
});

test('the sweeper takes expired items away that nobody asks for', () => {
  const handle = new Handle();
  const sweeper = new Sweeper(handle.store, handle.clock);
  for (let i = 0; i < 1000; i++) handle.put(`k${i}`, 'v', { exptime: i < 500 ? 10 : 0 });
  sweeper.tick();
  assert.is(handle.store.itemCount, 1000);
  handle.clock.now += 11;
  sweeper.tick();
  assert.is(handle.store.itemCount, 500);
  sweeper.stop();
});

test('a flush hides all items of its time and none that come later', () => {
  const handle = new Handle();
  handle.put('a', '1');
  handle.store.flushes.flush(0);
  handle.put('b', '1');
  assert.is(handle.get('a'), null);
  assert.is(handle.get('b'), '1');
  handle.store.flushes.flush(50);
  handle.put('c', '1');
  assert.is(handle.store.flushes.flushIfDue(), false);
  assert.is(handle.get('b'), '1');
  handle.clock.now += 50;
  assert.is(handle.store.flushes.flushIfDue(), true);
  assert.is(handle.get('b'), null);
  assert.is(handle.get('c'), null);
});

test('numbers count up, wrap at 64 bits, stop at zero and keep their length', () => {
  const handle = new Handle();
  const add = (key: string, delta: bigint, down = false) =>
    addTo(handle.store, handle.slot(key), delta, down);
  handle.put('n', '10');
  assert.is(add('n', 1n, true), 9n);
  assert.is(handle.get('n'), '9 ');
  assert.is(add('n', 91n), 100n);
  assert.is(handle.get('n'), '100');
  assert.is(add('n', 1000n, true), 0n);
  assert.is(handle.get('n'), '0  ');
  handle.put('max', '18446744073709551615');
  assert.is(add('max', 1n), 0n);
  for (const text of ['', 'x', '5x', '-1', '18446744073709551616', '1.5']) {
    handle.put('n', text);
    assert.is(add('n', 1n), 'not-numeric', JSON.stringify(text));
  }
});

test('a full store refuses and keeps all it has', () => {
  const handle = new Handle({ pages: 2 });
  const chunk = Buffer.alloc(32_768, 7);
  let stored = 0;
  while (handle.put(`k${stored}`, chunk) === 'stored') stored++;
  assert.is(stored, 64);
  assert.is(handle.put('another', chunk), 'no-memory');
  for (let i = 0; i < stored; i++) assert.ok(handle.slot(`k${i}`) >= 0);
  handle.store.remove(handle.slot('k3'));
  assert.is(handle.put('another', chunk), 'no-memory', 'the slot rests');
  handle.clock.now += 1.1;
  assert.is(handle.put('another', chunk), 'stored');
});

test('a full table refuses and keeps all it has', () => {
  const handle = new Handle({ pages: 2, tableItems: 16 });
  let stored = 0;
  while (stored < 1000 && handle.put(`k${stored}`, 'v') === 'stored') stored++;
  assert.ok(stored >= 16 && stored < 1000);
  assert.is(handle.put(`k${stored}`, 'v'), 'no-memory');
  assert.is(handle.put('k0', 'w'), 'stored', 'a key that is there can be replaced');
  for (let i = 1; i < stored; i++) assert.is(handle.get(`k${i}`), 'v');
  const used = handle.slots.use().reduce((sum, { usedSlots }) => sum + usedSlots, 0);
  assert.is(used, stored + handle.slots.resting, 'what was refused holds no slot');
});

test('a value of the limit is taken and one byte more is not', () => {
  const handle = new Handle();
  assert.is(handle.put('k'.repeat(250), Buffer.alloc(1024 * 1024)), 'stored');
  assert.is(handle.put('a', Buffer.alloc(1024 * 1024 + 1)), 'too-large');
  const small = new Handle({ itemSizeMax: 1000 });
  assert.is(small.put('a', Buffer.alloc(1000)), 'stored');
  assert.is(small.put('a', Buffer.alloc(1001)), 'too-large');
});

test.run();
