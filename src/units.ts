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
