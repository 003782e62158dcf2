import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readAuthFile } from '../server/auth/auth-file.js';
import { Throttle } from '../server/auth/throttle.js';
import { parsePlain } from '../server/protocol/sasl-plain.js';
import type { VolleyError } from '../src/errors.js';
import { temporaryFile } from './support/auth-file.js';

const test = suite('auth file');

function admits(path: string, user: string, password: string): boolean {
  return readAuthFile(path).admit(Buffer.from(user), Buffer.from(password)) !== null;
}

function refusal(path: string): string {
  try {
    readAuthFile(path);
  } catch (error) {
    assert.is((error as VolleyError).code, 'ERR_VOLLEY_FILE');
    const { message } = error as VolleyError;
    assert.not.match(message, /\n/);
    assert.not.match(message, /s3cret/, 'no error quotes what is in the file');
    return message;
  }
  throw new Error('the file was taken');
}

test('users are admitted with their passwords and with nothing else', () => {
  const path = temporaryFile('a:s3cret\nb:with:colons\r\nlast:no line end');
  assert.match(refusal(path), /line 3 has a blank/);
  const sound = temporaryFile('a:s3cret\nb:with:colons\r\na:newer\nlast:none');
  assert.ok(admits(sound, 'a', 's3cret'));
  assert.ok(admits(sound, 'a', 'newer'), 'a user may have two passwords');
  assert.ok(admits(sound, 'b', 'with:colons'));
  assert.ok(admits(sound, 'last', 'none'));
  for (const [user, password] of [
    ['a', 's3cre'],
    ['a', 's3crett'],
    ['a', ''],
    ['', 's3cret'],
    ['as', '3cret'],
    ['b', 's3cret'],
    ['b', 'with:colons\r'],
    ['A', 's3cret'],
  ] as const) {
    assert.not.ok(admits(sound, user, password), `${user}:${password}`);
  }
});

test('a file that others may read is refused, and the way out is told', () => {
  for (const mode of [0o640, 0o604, 0o660, 0o622, 0o601]) {
    assert.match(
      refusal(temporaryFile('a:s3cret\n', mode)),
      /others than its owner may use it; run: chmod 600/,
    );
  }
  assert.ok(admits(temporaryFile('a:s3cret\n', 0o400), 'a', 's3cret'));
});

test('what is no auth file is refused, with the line that is wrong', () => {
  const lines = (count: number) => Array.from({ length: count }, (_, i) => `u${i}:s3cret\n`).join('');
  assert.match(refusal(temporaryFile('')), /it is empty/);
  assert.match(refusal(temporaryFile('a:s3cret\n\nb:s3cret\n')), /line 2 is not user:password/);
  assert.match(refusal(temporaryFile('s3cret\n')), /line 1 is not user:password/);
  assert.match(refusal(temporaryFile(':s3cret\n')), /line 1 is not user:password/);
  assert.match(refusal(temporaryFile('s3cret:\n')), /line 1 is not user:password/);
  assert.match(refusal(temporaryFile('a:s3cret\0\n')), /line 1 has a blank or a control character/);
  assert.match(refusal(temporaryFile(`a:${'x'.repeat(254)}\n`)), /line 1 has more than 255 bytes/);
  assert.match(refusal(temporaryFile(lines(65))), /more than 64 lines/);
  assert.ok(admits(temporaryFile(lines(64)), 'u63', 's3cret'));
  assert.match(refusal(temporaryFile(Buffer.alloc(17_000, 'x'))), /more than 16384 bytes/);
});

test('what is no regular file is refused and does not hold up the start', () => {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  try {
    assert.match(refusal(folder), /no regular file/);
    assert.match(refusal('/dev/zero'), /no regular file/);
    assert.match(refusal(join(folder, 'missing')), /no such file/);
    symlinkSync(temporaryFile('a:s3cret\n'), join(folder, 'link'));
    assert.ok(admits(join(folder, 'link'), 'a', 's3cret'), 'a link to a sound file will do');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a SASL PLAIN message is taken apart, and refused when it is none', () => {
  const parse = (text: string) => {
    const plain = parsePlain(Buffer.from(text));
    return plain && [Buffer.from(plain.user).toString(), Buffer.from(plain.password).toString()];
  };
  assert.equal(parse('\0user\0word'), ['user', 'word']);
  assert.equal(parse('user\0user\0word'), ['user', 'word']);
  assert.is(parse('root\0user\0word'), null, 'nobody acts for somebody else');
  for (const text of [
    '',
    'user',
    '\0user',
    '\0\0',
    '\0user\0',
    '\0\0word',
    '\0user\0word\0',
    '\0user\0wo\0rd',
  ]) {
    assert.is(parse(text), null, JSON.stringify(text));
  }
});

test('an address that did nothing wrong never waits', () => {
  const throttle = new Throttle(() => 0);
  for (let i = 0; i < 100; i++) assert.is(throttle.admit('10.0.0.1'), 0);
  throttle.failed('10.0.0.2');
  assert.is(throttle.admit('10.0.0.1'), 0);
});

test('attempts behind a failure take their turns four a second, until too many wait', () => {
  let nowMs = 0;
  const throttle = new Throttle(() => nowMs);
  throttle.failed('x');
  const waits = Array.from({ length: 12 }, () => throttle.admit('x'));
  assert.equal(
    waits,
    waits.map((_, i) => (i + 1) * 250),
  );
  assert.is(throttle.admit('x'), null);
  nowMs = 3000;
  assert.is(throttle.admit('x'), 250, 'the turns that were given away count');
  nowMs = 4000;
  assert.is(throttle.admit('x'), 0);
});

test('however many addresses guess, their accounts take bounded memory', () => {
  const throttle = new Throttle(() => 0);
  for (let i = 0; i < 5000; i++) throttle.failed(`address ${i}`);
  assert.is(throttle.admit('address 4999'), 250, 'it shares an account');
  assert.is(throttle.admit('address 4998'), 500);
  assert.is(throttle.admit('address 7'), 250, 'it has one of its own');
});

test.run();
