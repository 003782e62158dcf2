import { setImmediate as nextTurn } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { commit } from '../server/commit.js';
import { Dump } from '../server/dump.js';
import type { Output } from '../server/output.js';
import { LoneStore, seeded } from './support/lone-session.js';

const test = suite('listing items');

test('tells of every item that is there throughout, wherever it is moved meanwhile', async () => {
  const random = seeded(11);
  const { store, slots } = new LoneStore({ pages: 8, tableItems: 8000 });
  const items = new Map<string, number>();
  for (let i = 0; i < 4000; i++) {
    const key = Buffer.from(`key-${i}`);
    const slot = store.reserve(key, 0, key.length, 0, 0, 700);
    assert.is(commit(store, slot, 'set', 0n), 'stored');
    items.set(`key-${i}`, slot);
  }
  const told = new Set<string>();
  const output = {
    pendingBytes: 0,
    flush() {},
    text(line: string) {
      const key = /^key=(\S+)/.exec(line)?.[1];
      if (key) told.add(key);
    },
  };
  const state = { ended: false };
  const dump = new Dump(store, output as unknown as Output, null, () => {
    state.ended = true;
  });
  dump.goOn();
  while (!state.ended) {
    await nextTurn();
    for (let i = 0; i < 40; i++) {
      const key = `key-${Math.floor(random() * 4000)}`;
      const from = items.get(key)!;
      const to = slots.takeIn(slots.classOfPage(slots.pageOf(from)));
      if (to < 0) continue;
      store.move(from, to);
      items.set(key, to);
    }
    slots.releaseEarly(30);
  }
  assert.is(told.size, 4000);
  assert.is(store.moveListeners.size, 0);
});

test.run();
