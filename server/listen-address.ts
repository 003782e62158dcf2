import { isIP } from 'node:net';
import { VolleyError } from '../src/errors.js';

/** Listeners of one node, at most. */
const ADDRESSES_MAX = 32;
const PLAIN_PREFIX = 'notls:';

/** One address that a node listens on. */
export interface ListenAddress {
  /** An IP address. */
  host: string;
  /** Null where the node's own port is meant. */
  port: number | null;
  /** Whether clients speak plainly here even when the node has a certificate. */
  plain: boolean;
}

/**
 * Reads memcached's `-l`: IP addresses separated by commas, each perhaps with a port (`10.0.0.1:11311`, `[::1]:11311`)
 * and with `notls:` before it.
 * @throws VolleyError ERR_VOLLEY_USAGE when an entry is none of these
 */
export function parseListenAddresses(text: string): ListenAddress[] {
  const addresses = text.split(',').map((entry) => parseEntry(entry.trim()));
  if (addresses.length <= ADDRESSES_MAX) return addresses;
  throw new VolleyError(
    'ERR_VOLLEY_USAGE',
    `a node listens on at most ${ADDRESSES_MAX} addresses (-l); ${addresses.length} are given`,
  );
}

/**
 * Reads where metrics are served: `ADDRESS:PORT`, or a port of 127.0.0.1.
 * @throws VolleyError ERR_VOLLEY_USAGE when it is neither
 */
export function parseMetricsAddress(text: string): { host: string; port: number } {
  const entry = /^\d{1,5}$/.test(text) ? `127.0.0.1:${text}` : text;
  const { host, port, plain } = parseEntry(entry);
  if (port !== null && !plain) return { host, port };
  throw new VolleyError(
    'ERR_VOLLEY_USAGE',
    `--metrics-listen ${text} tells no port; give 9150 or 10.0.0.1:9150`,
  );
}

/** An address as it is written in a URL: `127.0.0.1:11211`, `[::1]:11211`. */
export function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function parseEntry(entry: string): ListenAddress {
  const plain = entry.startsWith(PLAIN_PREFIX);
  const place = plain ? entry.slice(PLAIN_PREFIX.length) : entry;
  const [, ipv6, ipv4, digits] = /^(?:\[(.*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(place) ?? [];
  const host = ipv6 ?? ipv4 ?? place;
  const port = digits === undefined ? null : Number(digits);
  if (isIP(host) !== 0 && (port === null || port <= 65_535)) return { host, port, plain };
  const form = 'give 127.0.0.1, 127.0.0.1:11211 or [::1]:11211';
  throw new VolleyError('ERR_VOLLEY_USAGE', `the address "${entry}" is no IP address; ${form}`);
}
