import * as assert from 'node:assert/strict';
import type { CommandHandler, Parser } from '../../server/protocol/commands.js';
import { Random } from '../support/random.js';
import { CommandLog } from './command-log.js';

/** What a parser may hold on to, whatever it is fed: one segment of a retrieval's line, a SASL message, the rest small. */
const HELD_BYTES_MAX = 40_000;
const MARGIN = 64;

/** How a parser under test is made, and what its keys may be. */
export interface Subject {
  keys: 'text' | 'any';
  locked?: boolean;
  make(handler: CommandHandler): Parser;
}

/**
 * Feeds a parser the same bytes in three ways: whole, whole to a handler that pauses behind every command, and in pieces.
 * Fails unless it hands on the same commands each time, reads nothing beside what it was fed and keeps no more than it
 * may.
 */
export function checkParser(subject: Subject, input: Uint8Array): void {
  const whole = run(subject, false, input, [input.length], 0x0a);
  const paused = run(subject, true, input, [input.length], 0x20);
  assert.deepEqual(paused, whole, 'a handler that pauses gets other commands');
  const cut = run(subject, false, input, piecesOf(input), 0x30);
  assert.deepEqual(cut, whole, 'bytes in pieces make other commands');
}

/** Lengths of pieces that make up the input: the same for the same input, so that a finding replays. */
function piecesOf(input: Uint8Array): number[] {
  let seed = input.length;
  for (const byte of input.subarray(0, 256)) seed = Math.imul(seed ^ byte, 0x01000193);
  const random = new Random(seed);
  const longest = random.pick([1, 7, 64, 5000]);
  const pieces: number[] = [];
  for (let at = 0; at < input.length; at += pieces.at(-1)!) {
    pieces.push(Math.min(input.length - at, random.between(1, longest)));
  }
  return pieces;
}

/** @param around the byte that lies on either side of each piece; it must not matter */
function run(
  { keys, locked, make }: Subject,
  pauses: boolean,
  input: Uint8Array,
  pieces: number[],
  around: number,
): string[] {
  const log = new CommandLog(keys, pauses, locked);
  const parser = make(log);
  let from = 0;
  for (const length of pieces) {
    const memory = new Uint8Array(length + 2 * MARGIN).fill(around);
    memory.set(input.subarray(from, from + length), MARGIN);
    feed(parser, log, memory, MARGIN, MARGIN + length);
    memory.fill(around); // what a parser needs later it must have copied
    from += length;
  }
  const held = heldBytes(parser, new Set([log]));
  assert.ok(held <= HELD_BYTES_MAX, `a parser that holds ${held} bytes`);
  return [...log.entries, `mid-command ${parser.midCommand}`];
}

/** Feeds as a connection does: what a paused handler left is fed again. */
function feed(parser: Parser, log: CommandLog, memory: Uint8Array, start: number, end: number): void {
  let at = start;
  do {
    const before = log.entries.length;
    log.paused = false;
    const stopped = parser.feed(memory, at, end);
    assert.ok(stopped >= at && stopped <= end, `stopped at ${stopped} of ${at}…${end}`);
    assert.ok(stopped === end || log.paused, 'stopped before the end without a pause');
    assert.ok(stopped > at || !log.paused || log.entries.length > before, 'no progress');
    at = stopped;
  } while (log.paused);
}

/** Bytes of all arrays that can be reached from an object. */
function heldBytes(object: object, seen: Set<object>): number {
  let bytes = 0;
  for (const value of Object.values(object)) {
    if (typeof value !== 'object' || value === null || seen.has(value)) continue;
    seen.add(value);
    bytes += ArrayBuffer.isView(value) ? value.byteLength : heldBytes(value, seen);
  }
  return bytes;
}
