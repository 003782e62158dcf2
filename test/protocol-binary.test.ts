import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OPCODE } from '../server/protocol/opcodes.js';
import {
  answers,
  countExtras,
  exptimeExtras,
  type Packet,
  request,
  storeExtras,
} from './support/binary-packets.js';
import { LoneSession, seeded } from './support/lone-session.js';

const test = suite('binary protocol');

const OK = 0;
const NOT_FOUND = 1;
const EXISTS = 2;
const TOO_LARGE = 3;
const INVALID = 4;
const NOT_STORED = 5;
const NOT_NUMERIC = 6;
const UNKNOWN = 0x81;

const set = (key: string, value: string, more: Partial<Packet> = {}): Packet => ({
  opcode: OPCODE.set,
  key,
  value,
  extras: storeExtras(),
  ...more,
});
const get = (key: string, more: Partial<Packet> = {}): Packet => ({ opcode: OPCODE.get, key, ...more });

function ask(packets: Packet[], next?: () => number) {
  const lone = new LoneSession('binary');
  lone.feed(Buffer.concat(packets.map(request)), next);
  return { answers: answers(lone.answers()), ended: lone.session.ended };
}

const CONVERSATION: Packet[] = [
  set('a', 'hello', { extras: storeExtras(0xdeadbeef), opaque: 77 }),
  get('a', { opaque: 0xffffffff }),
  { opcode: OPCODE.getK, key: 'a' },
  { opcode: OPCODE.getQ, key: 'missing' },
  { opcode: OPCODE.getKQ, key: 'a' },
  { opcode: OPCODE.getK, key: 'missing' },
  { opcode: OPCODE.add, key: 'a', value: 'x', extras: storeExtras() },
  { opcode: OPCODE.replace, key: 'b', value: 'x', extras: storeExtras() },
  { opcode: OPCODE.appendQ, key: 'a', value: '!' },
  { opcode: OPCODE.prepend, key: 'a', value: '>' },
  { opcode: OPCODE.append, key: 'missing', value: '!' },
  set('a', 'y', { cas: 12345n }),
  { opcode: OPCODE.increment, key: 'n', extras: countExtras(5n, 100n, 0) },
  { opcode: OPCODE.increment, key: 'n', extras: countExtras(5n, 100n, 0) },
  { opcode: OPCODE.decrement, key: 'n', extras: countExtras(500n, 0n, 0) },
  { opcode: OPCODE.increment, key: 'm', extras: countExtras(5n, 100n, 0xffffffff) },
  { opcode: OPCODE.increment, key: 'a', extras: countExtras(5n, 100n, 0) },
  { opcode: OPCODE.touch, key: 'a', extras: exptimeExtras(100) },
  { opcode: OPCODE.gat, key: 'a', extras: exptimeExtras(0) },
  { opcode: OPCODE.gatKQ, key: 'missing', extras: exptimeExtras(0) },
  set('big', 'b'.repeat(100_000)),
  get('big'),
  set('huge', 'h'.repeat(1_048_577)),
  set('empty', ''),
  get('empty'),
  { opcode: OPCODE.delete, key: 'a' },
  { opcode: OPCODE.delete, key: 'a' },
  { opcode: OPCODE.deleteQ, key: 'big' },
  { opcode: 0x20 },
  { opcode: 0x21, key: 'PLAIN', value: '\0user\0password' },
  { opcode: 0x77, key: 'k', value: 'some value' },
  set('odd key', 'x'),
  { opcode: OPCODE.flush, extras: exptimeExtras(0) },
  { opcode: OPCODE.version },
  { opcode: OPCODE.noop, opaque: 4711 },
  { opcode: OPCODE.quit },
];

test('the answers do not depend on how the bytes are cut', () => {
  const whole = ask(CONVERSATION);
  assert.ok(whole.ended);
  assert.equal(
    ask(CONVERSATION, () => 1),
    whole,
  );
  for (let seed = 1; seed <= 40; seed++) {
    const random = seeded(seed);
    const longest = [3, 40, 3000, 40_000][seed % 4]!;
    assert.equal(
      ask(CONVERSATION, () => Math.ceil(random() * longest)),
      whole,
      `seed ${seed}`,
    );
  }
});

test('every operation has its answer', () => {
  const { answers: list } = ask(CONVERSATION);
  const told = list.map(({ status, value }) => [status, value.length > 20 ? value.length : value]);
  assert.equal(told, [
    [OK, ''],
    [OK, 'hello'],
    [OK, 'hello'],
    [OK, 'hello'],
    [NOT_FOUND, ''],
    [EXISTS, 'Data exists for key.'],
    [NOT_FOUND, 'Not found'],
    [OK, ''],
    [NOT_STORED, 'Not stored.'],
    [EXISTS, 'Data exists for key.'],
    [OK, '\0\0\0\0\0\0\0d'],
    [OK, '\0\0\0\0\0\0\0i'],
    [OK, '\0\0\0\0\0\0\0\0'],
    [NOT_FOUND, 'Not found'],
    [NOT_NUMERIC, 46],
    [OK, ''],
    [OK, '>hello!'],
    [OK, ''],
    [OK, 100_000],
    [TOO_LARGE, 'Too large.'],
    [OK, ''],
    [OK, ''],
    [OK, ''],
    [NOT_FOUND, 'Not found'],
    [UNKNOWN, 'Unknown command'],
    [UNKNOWN, 'Unknown command'],
    [UNKNOWN, 'Unknown command'],
    [OK, ''],
    [OK, ''],
    [OK, 'test'],
    [OK, ''],
    [OK, ''],
  ]);
  assert.is(list[0]!.opaque, 77);
  assert.is(list[1]!.opaque, 0xffffffff);
  assert.is(list[1]!.extras, 'deadbeef');
  assert.is(list[1]!.cas, list[0]!.cas);
  assert.is(list[2]!.key, 'a');
  assert.is(list[4]!.key, 'missing');
});

test('a cas that matches stores, and a delete with another cas does not delete', () => {
  const lone = new LoneSession('binary');
  lone.feed(request(set('a', '1')));
  const [stored] = answers(lone.answers());
  lone.feed(request(set('a', '2', { cas: stored!.cas })));
  const [again] = answers(lone.answers());
  assert.is(again!.status, OK);
  assert.is.not(again!.cas, stored!.cas);
  lone.feed(Buffer.concat([{ opcode: OPCODE.delete, key: 'a', cas: stored!.cas }, get('a')].map(request)));
  const [refused, found] = answers(lone.answers());
  assert.is(refused!.status, EXISTS);
  assert.is(found!.value, '2');
});

test('lengths that contradict each other end the connection', () => {
  const lies: Packet[] = [
    get('abc', { bodyBytes: 2 }),
    get('abc', { keyBytes: 4, bodyBytes: 3 }),
    get('abc', { extrasBytes: 200 }),
    get('k'.repeat(251)),
    get('abc', { extras: Buffer.alloc(4) }),
    get('abc', { value: 'x' }),
    get(''),
    set('abc', 'x', { extras: Buffer.alloc(7) }),
    set('', 'x'),
    { opcode: OPCODE.increment, key: 'k', extras: Buffer.alloc(19) },
    { opcode: OPCODE.noop, value: 'x' },
    { opcode: OPCODE.version, key: 'x' },
    { opcode: OPCODE.touch, key: 'k' },
    { opcode: OPCODE.flush, extras: Buffer.alloc(3) },
  ];
  for (const lie of lies) {
    const { answers: list, ended } = ask([lie, { opcode: OPCODE.noop }]);
    assert.ok(ended, JSON.stringify(lie));
    assert.is(list.length, 1, JSON.stringify(lie));
    assert.ok([INVALID, UNKNOWN].includes(list[0]!.status), JSON.stringify(lie));
  }
});

test('something that is no request ends the connection without an answer', () => {
  const lone = new LoneSession('binary');
  lone.feed(Buffer.concat([request({ opcode: OPCODE.noop }), Buffer.from('get a\r\n')]));
  assert.is(answers(lone.answers()).length, 1);
  assert.ok(lone.session.ended);
});

test('a key may hold any bytes', () => {
  for (const key of ['a b', 'a\r\nget b', 'a\0']) {
    const { answers: list } = ask([set(key, 'x'.repeat(70_000)), { opcode: OPCODE.getK, key }]);
    assert.equal(
      list.map(({ status }) => status),
      [OK, OK],
    );
    assert.is(list[1]!.key, key);
  }
});

test('quiet stores are silent, but their failures are not', () => {
  const { answers: list } = ask([
    { opcode: OPCODE.setQ, key: 'a', value: '1', extras: storeExtras(), opaque: 1 },
    { opcode: OPCODE.addQ, key: 'a', value: '1', extras: storeExtras(), opaque: 2 },
    { opcode: OPCODE.replaceQ, key: 'b', value: '1', extras: storeExtras(), opaque: 3 },
    { opcode: OPCODE.incrementQ, key: 'a', extras: countExtras(1n, 0n, 0), opaque: 4 },
    { opcode: OPCODE.deleteQ, key: 'a', opaque: 5 },
    { opcode: OPCODE.deleteQ, key: 'a', opaque: 6 },
    { opcode: OPCODE.flushQ, opaque: 7 },
    { opcode: OPCODE.noop, opaque: 8 },
  ]);
  assert.equal(
    list.map(({ opaque, status }) => [opaque, status]),
    [
      [2, EXISTS],
      [3, NOT_FOUND],
      [6, NOT_FOUND],
      [8, OK],
    ],
  );
});

test('random bytes never make the parser throw, and no slot is lost', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seeded(seed);
    const lone = new LoneSession('binary');
    for (let i = 0; i < 100 && !lone.session.ended; i++) {
      const packet = request(CONVERSATION[Math.floor(random() * (CONVERSATION.length - 1))]!);
      if (random() < 0.3)
        packet[Math.floor(random() * Math.min(packet.length, 40))] = Math.floor(random() * 256);
      lone.feed(packet.subarray(0, 200_000));
    }
    lone.session.close();
    const used = lone.lone.slots.use().reduce((sum, { usedSlots }) => sum + usedSlots, 0);
    assert.is(used, lone.lone.store.itemCount + lone.lone.slots.resting, `seed ${seed}`);
  }
});

test.run();
