import { VolleyError } from '../../src/errors.js';
import { parseSize } from '../../src/units.js';

const MIB = 1024 * 1024;

/** A whole number, 0 or more. */
export function wholeNumber(text: string, origin: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw unreadable(origin, text, 'is no whole number');
}

/** Seconds, with up to three decimals, in milliseconds. */
export function seconds(text: string, origin: string): number {
  if (/^\d{1,6}(\.\d{1,3})?$/.test(text)) return Math.round(Number(text) * 1000);
  throw unreadable(origin, text, 'is no number of seconds');
}

/** Milliseconds as seconds() reads them. */
export function asSeconds(ms: number): string {
  return String(ms / 1000);
}

/** memcached's -m: a bare number is in MB. */
export function megabytes(text: string, origin: string): number {
  return parseSize(text, origin, MIB);
}

export function bytes(text: string, origin: string): number {
  return parseSize(text, origin);
}

/** Bytes in the largest unit that leaves a whole number: `64M`. */
export function asSize(value: number): string {
  for (const [suffix, unit] of [
    ['G', 2 ** 30],
    ['M', MIB],
    ['k', 1024],
  ] as const) {
    if (value >= unit && value % unit === 0) return `${value / unit}${suffix}`;
  }
  return `${value}`;
}

/** Bytes as megabytes() reads them, where a bare number would be MB. */
export function asMegabytes(value: number): string {
  return value % 1024 === 0 ? asSize(value) : `${value / MIB}M`;
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
  return new VolleyError('ERR_VOLLEY_USAGE', `${origin}: ${JSON.stringify(text)} ${fault}`);
}
