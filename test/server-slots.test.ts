import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Flights } from '../server/flights.js';
import { sizeClasses } from '../server/size-classes.js';
import { Slots } from '../server/slots.js';
import { seeded } from './support/lone-session.js';

const test = suite('slots');
const PAGE_BYTES = 1_054_720;

function makeSlots({ pageCount = 4, quarantineMs = 1000 } = {}) {
  const flights = new Flights();
  const clock = { ms: 0 };
  const slots = new Slots({ pageBytes: PAGE_BYTES, pageCount, quarantineMs, flights, nowMs: () => clock.ms });
  return { slots, flights, clock };
}

test('chunks of every size fill a page with little waste', () => {
  const fits = new Map([
    [32, 32],
    [64, 16],
    [128, 8],
    [256, 4],
    [512, 2],
    [1024, 1],
    [16, 63],
    [8, 125],
    [4, 245],
  ]);
  for (const [kib, perPage] of fits) {
    const { slots } = makeSlots({ pageCount: 1 });
    const itemBytes = 128 + kib * 1024 + 2; // header and text of a chunk's item, value, CR LF
    let count = 0;
    while (slots.take(itemBytes) >= 0) count++;
    assert.is(count, perPage, `${kib} KiB`);
  }
  assert.ok(sizeClasses(PAGE_BYTES, 4).includes(32_960), '32 slots of 32,960 bytes');
});

test('size classes ascend in steps of a quarter at most, aligned to 64 bytes, and end with the page', () => {
  const classes = sizeClasses(PAGE_BYTES, 1000);
  assert.is(classes.at(-1), PAGE_BYTES);
  assert.ok(classes.length < 64);
  for (let i = 0; i < classes.length; i++) {
    const slotBytes = classes[i]!;
    assert.is(slotBytes % 64, 0);
    if (i === 0) continue;
    assert.ok(slotBytes > classes[i - 1]!);
    const grows = slotBytes / classes[i - 1]!;
    const isCoarse = slotBytes <= 1024 || slotBytes > PAGE_BYTES / 16; // where 64 bytes, or the page, is the step
    assert.ok(grows <= (isCoarse ? 2 : 1.3), `class of ${slotBytes} bytes after ${classes[i - 1]}`);
  }
});

test('a small arena has few size classes, for each takes a page', () => {
  const classes = sizeClasses(PAGE_BYTES, 64);
  assert.ok(classes.length <= 16, `${classes.length} classes`);
  assert.ok([4288, 8384, 16_704, 32_960, 65_920].every((slotBytes) => classes.includes(slotBytes)));
});

test('slots of any sizes never overlap, and all pages are free again when all slots are', () => {
  const random = seeded(7);
  const { slots, clock } = makeSlots({ pageCount: 6, quarantineMs: 0 });
  const held = new Map<number, number>();
  for (let i = 0; i < 30_000; i++) {
    if (random() < 0.55) {
      const bytes = 130 + Math.floor(random() ** 4 * 200_000);
      const slot = slots.take(bytes);
      if (slot < 0) continue;
      assert.is(slot % 64, 0);
      assert.ok(
        Math.floor(slot / PAGE_BYTES) === Math.floor((slot + bytes - 1) / PAGE_BYTES),
        'within one page',
      );
      assert.not.ok(held.has(slot));
      held.set(slot, bytes);
    } else if (held.size > 0) {
      const slot = [...held.keys()][Math.floor(random() * Math.min(held.size, 50))]!;
      held.delete(slot);
      if (random() < 0.5) slots.give(slot);
      else slots.retire(slot);
      clock.ms++;
    }
  }
  const sorted = [...held].sort(([a], [b]) => a - b);
  for (let i = 1; i < sorted.length; i++) {
    assert.ok(sorted[i - 1]![0] + sorted[i - 1]![1] <= sorted[i]![0], 'no overlap');
  }
  for (let slot = slots.nextUsed(0), i = 0; i < sorted.length; slot = slots.nextUsed(slot + 1), i++) {
    while (slot !== sorted[i]![0] && slot >= 0) slot = slots.nextUsed(slot + 1); // resting ones
    assert.is(slot, sorted[i]![0], 'every held slot is told of');
  }
  for (const slot of held.keys()) slots.give(slot);
  slots.release();
  assert.is(slots.resting, 0);
  assert.is(slots.restingBytes, 0);
  for (let i = 0; i < 6; i++) assert.ok(slots.take(PAGE_BYTES) >= 0, 'each page is whole again');
});

test('a small item takes a large slot when there is no other', () => {
  const { slots } = makeSlots({ pageCount: 1 });
  const large = slots.take(300_000);
  const small = slots.take(200);
  assert.is(Math.floor(small / PAGE_BYTES), 0);
  slots.give(small);
  slots.give(large);
  const count = [1, 2, 3].filter(() => slots.take(300_000) >= 0).length;
  assert.is(count, 2, 'the large slots are whole again');
});

test('a slot that is freed twice is an error', () => {
  const { slots } = makeSlots();
  const slot = slots.take(200);
  slots.take(200);
  slots.give(slot);
  assert.throws(() => slots.give(slot), /freed twice/);
});

test('a freed slot rests before it is given out again', () => {
  const { slots, clock } = makeSlots({ pageCount: 1, quarantineMs: 1000 });
  const slot = slots.take(PAGE_BYTES);
  clock.ms = 500;
  slots.retire(slot);
  assert.is(slots.resting, 1);
  assert.is(slots.restingBytes, PAGE_BYTES);
  clock.ms = 1499;
  assert.is(slots.take(PAGE_BYTES), -1);
  clock.ms = 1600;
  assert.is(slots.take(PAGE_BYTES), slot);
  assert.is(slots.resting, 0);
});

test('a slot is not given out while a write that began before it was freed is under way', () => {
  const { slots, flights, clock } = makeSlots({ pageCount: 1, quarantineMs: 0 });
  const slot = slots.take(PAGE_BYTES);
  const first = flights.begin();
  const second = flights.begin();
  slots.retire(slot);
  clock.ms = 10_000;
  assert.is(slots.take(PAGE_BYTES), -1, 'two writes are under way');
  const later = flights.begin();
  flights.end(first);
  assert.is(slots.take(PAGE_BYTES), -1, 'one write is under way');
  flights.end(second);
  assert.is(slots.take(PAGE_BYTES), slot, 'a write that began after the freeing does not matter');
  flights.end(later);
});

test('many slots rest in the order of their freeing, and the ring of them grows', () => {
  const { slots, clock } = makeSlots({ pageCount: 2, quarantineMs: 100 });
  const taken: number[] = [];
  for (let slot = slots.take(192); slot >= 0; slot = slots.take(192)) taken.push(slot);
  assert.ok(taken.length > 10_000);
  for (const slot of taken.slice(0, 700)) slots.retire(slot);
  clock.ms = 200;
  slots.release();
  assert.is(slots.resting, 0);
  for (const slot of taken.slice(700)) slots.retire(slot);
  assert.is(slots.resting, taken.length - 700);
  clock.ms = 400;
  slots.release();
  assert.is(slots.resting, 0);
  assert.ok(slots.take(PAGE_BYTES) >= 0);
});

test.run();
