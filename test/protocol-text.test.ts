import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LINE_BYTES_MAX, SEGMENT_BYTES_MAX, SEGMENT_KEYS_MAX } from '../server/protocol/text-parser.js';
import { LoneSession, seeded } from './support/lone-session.js';

const test = suite('text protocol');

function ask(text: string, next?: () => number): string {
  const lone = new LoneSession('text');
  lone.feed(Buffer.from(text, 'latin1'), next);
  return lone.answers().toString('latin1');
}

const LONG_KEY = 'k'.repeat(251);

/** A long conversation of good and bad commands. */
const CONVERSATION = [
  'set a 7 0 3\r\nabc\r\nget a\r\ngets a\r\nset b 0 0 0\r\n\r\nget a b c\r\n',
  'add a 0 0 1\r\nx\r\nreplace c 0 0 1\r\nx\r\nappend a 0 0 2\r\nde\r\nprepend a 0 0 1\r\n0\r\nget a\r\n',
  'cas a 1 0 1 999\r\nx\r\ncas zz 1 0 1 1\r\nx\r\ncas a 1 0 1 x\r\nx\r\n',
  'set n 0 0 2\r\n10\r\nincr n 5\r\ndecr n 100\r\nget n\r\nincr a 1\r\nincr n x\r\nincr nn 1\r\n',
  'set a 0 0 3 noreply\r\nxyz\r\nget a\r\nset a 0 0 3\r\nabcdefg\r\nget a\r\nset a 0 0 -1\r\n',
  `get ${LONG_KEY}\r\nget a ${LONG_KEY} b\r\nset ${LONG_KEY} 0 0 1\r\n`,
  'touch a 100\r\ntouch q 100\r\ngat 0 a\r\ngats 0 a b\r\ngat x a\r\ngat 0\r\nget\r\nget \r\n\r\n',
  'delete b\r\ndelete b\r\ndelete a 0\r\ndelete a 1\r\nverbosity 1\r\nversion\r\nbogus\r\nget a\n',
  `set big 0 0 5000\r\n${'v'.repeat(5000)}\r\nget big\r\nset huge 0 0 1048577\r\n${'h'.repeat(1048577)}\r\n`,
  `get ${Array.from({ length: 2000 }, (_, i) => `key-${i}`).join(' ')} big\r\nflush_all\r\nget big\r\n`,
  'lru_crawler metadump nonsense\r\nlru_crawler bogus\r\nversion\r\n',
].join('');

test('the answers do not depend on how the bytes are cut', () => {
  const whole = ask(CONVERSATION);
  assert.ok(whole.includes('VALUE a 7 3\r\nabc\r\nEND\r\n'));
  assert.ok(whole.endsWith('VERSION test\r\n'));
  assert.is(
    ask(CONVERSATION, () => 1),
    whole,
  );
  for (let seed = 1; seed <= 40; seed++) {
    const random = seeded(seed);
    const longest = [3, 40, 3000, 40_000][seed % 4]!;
    const cut = ask(CONVERSATION, () => Math.ceil(random() * longest));
    assert.is(cut, whole, `seed ${seed}`);
  }
});

test('a key of 250 bytes is taken, a longer one is refused', () => {
  const key = 'k'.repeat(250);
  assert.is(ask(`set ${key} 0 0 1\r\nx\r\nget ${key}\r\n`), `STORED\r\nVALUE ${key} 0 1\r\nx\r\nEND\r\n`);
  assert.is(ask(`get ${LONG_KEY}\r\n`), 'CLIENT_ERROR bad command line format\r\n');
});

test('keys with control characters are refused', () => {
  for (const key of ['a\tb', 'a\0b', 'a\x7f', 'a\x1b[2J', 'a\rb']) {
    assert.is(ask(`get ${key}\r\n`), 'CLIENT_ERROR bad command line format\r\n', JSON.stringify(key));
    assert.is(
      ask(`set ${key} 0 0 1\r\n`),
      'CLIENT_ERROR bad command line format\r\n',
      `set ${JSON.stringify(key)}`,
    );
  }
  assert.is(
    ask('set \xfc\xff 0 0 1\r\nx\r\nget \xfc\xff\r\n'),
    'STORED\r\nVALUE \xfc\xff 0 1\r\nx\r\nEND\r\n',
  );
});

test('numbers out of bounds are refused', () => {
  for (const line of [
    'set a 4294967296 0 1',
    'set a -1 0 1',
    'set a 0 0 2147483646',
    'set a 0 0 4294967297',
    'set a 0 0 0x1',
    'set a 0 0 1e3',
    'set a 0 0 1.5',
    'set a 0 99999999999999999999 1',
    'cas a 0 0 1 18446744073709551616',
  ]) {
    assert.is(ask(`${line}\r\n`), 'CLIENT_ERROR bad command line format\r\n', line);
  }
});

test('a value that is too large is swallowed and the next command is answered', () => {
  const value = 'v'.repeat(1024 * 1024 + 1);
  const answer = 'SERVER_ERROR object too large for cache\r\n';
  assert.is(ask(`set a 0 0 ${value.length}\r\n${value}\r\nversion\r\n`), `${answer}VERSION test\r\n`);
  assert.is(ask(`set a 0 0 ${value.length} noreply\r\n${value}\r\nversion\r\n`), 'VERSION test\r\n');
});

test('a value that looks like commands is a value', () => {
  const value = 'get a\r\nquit\r\nset b 0 0 1\r\n';
  assert.is(
    ask(`set a 0 0 ${value.length}\r\n${value}\r\nget a b\r\n`),
    `STORED\r\nVALUE a 0 ${value.length}\r\n${value}\r\nEND\r\n`,
  );
});

test('a line that is too long ends the connection', () => {
  const lone = new LoneSession('text');
  lone.feed(Buffer.from(`${'x'.repeat(LINE_BYTES_MAX)}\r\n`));
  assert.is(lone.answers().toString(), 'CLIENT_ERROR line too long\r\n');
  assert.ok(lone.session.ended);
  assert.is(ask(`${'x'.repeat(LINE_BYTES_MAX)}\n`), 'ERROR\r\n');
  const endless = new LoneSession('text');
  endless.feed(Buffer.alloc(LINE_BYTES_MAX + 1, 0x20));
  assert.ok(endless.session.ended, 'a line of spaces without an end');
});

test('a multi-get may have any number of keys', () => {
  const keys = Array.from({ length: 20_000 }, (_, i) => `k${i}`);
  const asked = `set k19999 0 0 1\r\nx\r\nset k0 0 0 1\r\ny\r\nget ${keys.join(' ')}\r\nversion\r\n`;
  const expected =
    'STORED\r\nSTORED\r\nVALUE k0 0 1\r\ny\r\nVALUE k19999 0 1\r\nx\r\nEND\r\nVERSION test\r\n';
  assert.is(ask(asked), expected);
  assert.is(
    ask(asked, () => 977),
    expected,
  );
});

test('a retrieval that ends just at a segment is whole', () => {
  for (const length of [
    SEGMENT_BYTES_MAX - 2,
    SEGMENT_BYTES_MAX - 1,
    SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MAX + 1,
  ]) {
    for (const ending of ['\r\n', '\n']) {
      let line = 'get';
      while (line.length + ending.length < length - 8) line += ' abcdefg';
      line = `${line.padEnd(length - ending.length, ' ')}${ending}version\r\n`;
      assert.is(ask(line), 'END\r\nVERSION test\r\n', `${length} bytes`);
      assert.is(
        ask(line, () => 1000),
        'END\r\nVERSION test\r\n',
        `${length} bytes in pieces`,
      );
    }
  }
  const keys = Array(SEGMENT_KEYS_MAX).fill('k').join(' ');
  for (const line of [`get ${keys}\r\n`, `get ${keys} \r\n`, `get ${keys} k\r\n`, `gat 0 ${keys} k\r\n`]) {
    assert.is(ask(`${line}version\r\n`), 'END\r\nVERSION test\r\n');
  }
});

test('a bad key far into a long retrieval is refused and the rest of the line is skipped', () => {
  const keys = Array(3000).fill('some-key').join(' ');
  const asked = `get ${keys} ${LONG_KEY} ${keys}\r\nversion\r\n`;
  const expected = 'CLIENT_ERROR bad command line format\r\nVERSION test\r\n';
  assert.is(ask(asked), expected);
  assert.is(
    ask(asked, () => 5000),
    expected,
  );
});

test('random bytes never make the parser throw, and memory of it stays', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seeded(seed);
    const lone = new LoneSession('text');
    const words = [
      'get ',
      'gets ',
      'set a 0 0 5\r\n',
      'gat 1 ',
      'incr a 1',
      '\r\n',
      ' ',
      'noreply',
      'delete ',
    ];
    for (let i = 0; i < 200 && !lone.session.ended; i++) {
      const word = words[Math.floor(random() * words.length)]!;
      const noise = Buffer.from(Array.from({ length: 8 }, () => Math.floor(random() * 256)));
      lone.feed(random() < 0.5 ? Buffer.from(word, 'latin1') : noise);
    }
    lone.answers();
    lone.session.close();
    const linked = lone.lone.store.itemCount;
    const { usedSlots } = lone.lone.slots
      .use()
      .reduce((sum, each) => ({ usedSlots: sum.usedSlots + each.usedSlots }), { usedSlots: 0 });
    assert.is(usedSlots, linked + lone.lone.slots.resting, `seed ${seed}: no slot is lost`);
  }
});

test.run();
