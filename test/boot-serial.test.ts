import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SerialLog } from '../hypervisor-shim/serial-log.js';

const test = suite("capturing a guest's serial output");

test('a marker is found wherever the pieces are cut', () => {
  const text = Buffer.from('noise READY noise\n');
  for (let cut = 0; cut <= text.length; cut++) {
    const log = new SerialLog();
    let found = 0;
    log.watch('READY', () => found++);
    log.feed(text.subarray(0, cut));
    log.feed(text.subarray(cut));
    assert.is(found, 1, `cut at ${cut}`);
    assert.equal(log.lines(), ['noise READY noise']);
  }
});

test('a marker is found byte by byte, also in UTF-8, and is told once', () => {
  const log = new SerialLog();
  let found = 0;
  log.watch('grüße', () => found++);
  for (const byte of Buffer.from('viele grüße und grüße\n')) log.feed(Buffer.from([byte]));
  assert.is(found, 1);
});

test('markers of different lengths do not spoil each other', () => {
  const log = new SerialLog();
  const found: string[] = [];
  for (const marker of ['ab', 'abcdefgh', 'h!']) log.watch(marker, () => found.push(marker));
  for (const piece of ['xa', 'bcd', 'efg', 'h', '!']) log.feed(Buffer.from(piece));
  assert.equal(found, ['ab', 'abcdefgh', 'h!']);
});

test('lines are kept without their ends, and a line without an end is the last one', () => {
  const log = new SerialLog();
  log.feed(Buffer.from('one\r\ntwo\n\nthr'));
  log.feed(Buffer.from('ee'));
  assert.equal(log.lines(), ['one', 'two', '', 'three']);
  assert.is(log.lastLine(), 'three');
});

test('a guest that never ends its lines, or never stops, is kept in bounds', () => {
  const log = new SerialLog();
  for (let i = 0; i < 100; i++) log.feed(Buffer.alloc(65_536, 0x61));
  assert.is(log.lines().length, 1);
  assert.is(log.lastLine().length, 4096);
  for (let i = 0; i < 5000; i++) log.feed(Buffer.from(`\nline ${i}`));
  assert.is(log.lines().length, 2001);
  assert.is(log.lastLine(), 'line 4999');
});

test('a line that is wanted is kept whole, however many follow it', () => {
  const log = new SerialLog();
  log.keepLine('failed');
  assert.is(log.keptLine('failed'), undefined);
  log.feed(Buffer.from('[1.0] unpacking fai'));
  log.feed(Buffer.from('led: odd magic\r\nfailed again\n'));
  for (let i = 0; i < 3000; i++) log.feed(Buffer.from('more\n'));
  assert.is(log.keptLine('failed'), '[1.0] unpacking failed: odd magic');
  assert.is(log.keptLine('another'), undefined);
});

test.run();
