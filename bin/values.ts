import { InvalidArgumentError } from 'commander';
import { isVolleyError } from '../src/errors.js';
import { parseSize, parseTime } from '../src/units.js';

/** Longest deadline: what a timer takes. */
const DEADLINE_MS_MAX = 2 ** 31 - 1;
/** Longest time that a node can be given by a bare number, which is seconds. Longer ones need their unit. */
const BARE_SECONDS_MAX = 600;

/** A deadline, in milliseconds, at least 1: `500ms`, `5s`, `2m`, `1h`; a bare number is seconds. */
export function parseDuration(text: string): number {
  const ms = inWords(() => parseTime(text, 'the time'));
  if (ms >= 1 && ms <= DEADLINE_MS_MAX) return ms;
  throw new InvalidArgumentError('It is more than 0 and at most 24 days.');
}

/**
 * The deadline of a node, in milliseconds. A bare number beyond BARE_SECONDS_MAX is what scripts for Volley 0.1.0 have, where
 * it was milliseconds: it is taken as that, with a line on stderr.
 */
export function parseNodeTimeout(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) <= BARE_SECONDS_MAX) return parseDuration(text);
  const ms = parseDuration(`${text}ms`);
  process.stderr.write(
    `volley: a time of ${text} is taken as milliseconds, as by volley 0.1.0; give its unit: ${text}ms\n`,
  );
  return ms;
}

/** A time in whole seconds, 0 or more: `90`, `90s`, `2m`, `1h`. */
export function parseWholeSeconds(text: string): number {
  const seconds = inWords(() => parseTime(text, 'the time')) / 1000;
  if (Number.isInteger(seconds) && seconds <= DEADLINE_MS_MAX) return seconds;
  throw new InvalidArgumentError('It is a whole number of seconds.');
}

/** A size in bytes, with k, M or G. */
export function parseBytes(text: string): number {
  return inWords(() => parseSize(text, 'the size'));
}

/** Has commander name the option when its value cannot be read. */
function inWords(read: () => number): number {
  try {
    return read();
  } catch (error) {
    throw new InvalidArgumentError(isVolleyError(error) ? error.message : String(error));
  }
}

/** The path of a file. */
export function parsePath(text: string): string {
  if (text !== '' && !text.includes('\0')) return text;
  throw new InvalidArgumentError('It is empty; name a file.');
}
