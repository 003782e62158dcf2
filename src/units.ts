import { VolleyError } from './errors.js';

const SUFFIX: Record<string, number> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/**
 * Reads a size such as `32k`, `64M`, `1.5G` or `4096` into bytes.
 * @param bareUnit what a number without a suffix counts in, in bytes (memcached's `-m` counts MB)
 * @throws VolleyError ERR_VOLLEY_USAGE when it is no size
 */
export function parseSize(text: string, what: string, bareUnit = 1): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim());
  const unit = match && (match[2] === '' ? bareUnit : SUFFIX[match[2]!.toLowerCase()]!);
  const bytes = match ? Math.round(Number(match[1]) * unit!) : Number.NaN;
  if (!Number.isSafeInteger(bytes)) {
    throw new VolleyError(
      'ERR_VOLLEY_USAGE',
      `${what}: "${text}" is no size; give a number with k, M or G, such as 64M`,
    );
  }
  return bytes;
}

const TIME_UNIT_MS: Record<string, number> = { us: 0.001, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/**
 * Reads a time such as `500ms`, `5s`, `1.5m` or `1h` into milliseconds; `us` is a thousandth of one.
 * @param bareUnit what a number without a unit counts in, in milliseconds; seconds if not told
 * @throws VolleyError ERR_VOLLEY_USAGE when it is no time
 */
export function parseTime(text: string, what: string, bareUnit = 1000): number {
  const match = /^(\d{1,12}(?:\.\d{1,6})?)\s*(us|ms|s|m|h|)$/.exec(text.trim());
  if (!match) {
    throw new VolleyError(
      'ERR_VOLLEY_USAGE',
      `${what}: "${text}" is no time; give a number with its unit (ms, s, m or h), such as 5s`,
    );
  }
  const unit = match[2] === '' ? bareUnit : TIME_UNIT_MS[match[2]!]!;
  return Number((Number(match[1]) * unit).toPrecision(15));
}

/** Milliseconds as parseTime() reads them, in the largest unit that leaves a whole number: `5s`. */
export function formatDuration(ms: number): string {
  for (const unit of ['h', 'm', 's', 'ms'] as const) {
    const count = ms / TIME_UNIT_MS[unit]!;
    if (count >= 1 && Number.isInteger(count)) return `${count}${unit}`;
  }
  return ms === 0 ? '0s' : `${Number((ms * 1000).toPrecision(15))}us`;
}

/** Bytes as parseSize() reads them, in the largest unit that leaves a whole number: `64M`. */
export function formatSize(bytes: number): string {
  for (const suffix of ['T', 'G', 'M', 'k'] as const) {
    const unit = SUFFIX[suffix.toLowerCase()]!;
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit}${suffix}`;
  }
  return `${bytes}`;
}

/** Bytes for people: `45.2 MB` (powers of ten, as link and memory bandwidths are told). */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`;
}

/** Milliseconds for people: `0.42 ms`, `72.1 ms`, `1450 ms`. */
export function formatMs(ms: number): string {
  return `${ms < 10 ? ms.toFixed(2) : ms < 1000 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}
