import { InvalidArgumentError } from 'commander';
import { isVolleyError } from '../src/errors.js';
import { parseSize } from '../src/units.js';

/** Longest deadline: what a timer takes. */
const MILLISECONDS_MAX = 2 ** 31 - 1;

/** A whole number of milliseconds, at least 1. */
export function parseMilliseconds(text: string): number {
  const ms = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (ms >= 1 && ms <= MILLISECONDS_MAX) return ms;
  throw new InvalidArgumentError('It is a whole number of milliseconds, at least 1.');
}

/** A whole number of seconds, 0 or more. */
export function parseSeconds(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It is a whole number of seconds.');
}

/** A size in bytes, with k, M or G. */
export function parseBytes(text: string): number {
  try {
    return parseSize(text, 'the size');
  } catch (error) {
    throw new InvalidArgumentError(isVolleyError(error) ? error.message : String(error));
  }
}
