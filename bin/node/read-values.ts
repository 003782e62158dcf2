import { VolleyError } from '../../src/errors.js';
import { isUtf8Path } from '../../src/file-path.js';
import { quote } from '../../src/keys.js';
import { formatDuration, formatSize, parseSize, parseTime } from '../../src/units.js';

const MIB = 1024 * 1024;

/** A whole number, 0 or more. */
export function wholeNumber(text: string, origin: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw unreadable(origin, text, 'is no whole number');
}

/** A time in milliseconds: `500ms`, `5s`, `2m`; a bare number is seconds, as in memcached. */
export function seconds(text: string, origin: string): number {
  return whole(parseTime(text, origin), text, origin);
}

/** The same, where a bare number is milliseconds. */
export function milliseconds(text: string, origin: string): number {
  return whole(parseTime(text, origin, 1), text, origin);
}

/** A time in microseconds, which a bare number is as well. */
export function microseconds(text: string, origin: string): number {
  return whole(parseTime(text, origin, 0.001) * 1000, text, origin);
}

function whole(count: number, text: string, origin: string): number {
  const rounded = Math.round(count);
  if (Math.abs(count - rounded) < 1e-6) return rounded;
  throw unreadable(origin, text, 'is a time with too many decimals');
}

/** Milliseconds as seconds() reads them. */
export function asSeconds(ms: number): string {
  return String(ms / 1000);
}

/** Milliseconds with their unit. */
export function asTime(ms: number): string {
  return formatDuration(ms);
}

/** Microseconds with their unit. */
export function asMicroseconds(us: number): string {
  return `${us}us`;
}

/** The path of a file. */
export function path(text: string, origin: string): string {
  if (text !== '' && !text.includes('\0')) return text;
  throw unreadable(origin, text, 'is no path');
}

/** The path of a file, or null for `off`. */
export function pathOrOff(text: string, origin: string): string | null {
  return text === 'off' ? null : path(text, origin);
}

/** A path for what the system takes texts for only. */
export function textPath(text: string, origin: string): string {
  if (isUtf8Path(path(text, origin))) return text;
  throw unreadable(origin, text, 'is not UTF-8, which the path of a socket has to be');
}

/** memcached's -m: a bare number is in MB. */
export function megabytes(text: string, origin: string): number {
  return parseSize(text, origin, MIB);
}

export function bytes(text: string, origin: string): number {
  return parseSize(text, origin);
}

/** Bytes as megabytes() reads them, where a bare number would be MB. */
export function asMegabytes(value: number): string {
  return value % 1024 === 0 ? formatSize(value) : `${value / MIB}M`;
}

export function anyText(text: string): string {
  return text;
}

/** The text, or null for `off`. */
export function textOrOff(text: string): string | null {
  return text === 'off' ? null : text;
}

/** Permissions, in octal digits. */
export function octal(text: string, origin: string): number {
  if (/^[0-7]{1,4}$/.test(text)) return Number.parseInt(text, 8);
  throw unreadable(origin, text, 'is no mode in octal digits, such as 770');
}

/** A switch: `on` or `off`. */
export function onOff(text: string, origin: string): boolean {
  if (['on', 'yes', 'true', '1'].includes(text)) return true;
  if (['off', 'no', 'false', '0'].includes(text)) return false;
  throw unreadable(origin, text, 'is neither on nor off');
}

/** A switch that turns something off. */
export function offOn(text: string, origin: string): boolean {
  return !onOff(text, origin);
}

/** One of some words. */
export function oneOf(...words: readonly string[]): (text: string, origin: string) => string {
  return (text, origin) => {
    if (words.includes(text)) return text;
    throw unreadable(origin, text, `is none of ${words.join(', ')}`);
  };
}

function unreadable(origin: string, text: string, fault: string): VolleyError {
  return new VolleyError('ERR_VOLLEY_USAGE', `${origin}: ${quote(text)} ${fault}`);
}
