import { isIPv6 } from 'node:net';
import { VolleyError } from './errors.js';
import { quote } from './keys.js';

const DEFAULT_PORT = 11211;
/** The most nodes of a list. */
export const NODES_MAX = 1024;
const FORM = 'give host, host:port or [IPv6]:port';

/** An IPv6 address with or without a zone (an interface's name, or its number), or a host name or IPv4 address; a port. */
const ENTRY = /^(?:\[([0-9a-f:.]+)(%[\w.~@:+-]{1,15})?\]|([a-z0-9._-]+))(?::(\d{1,5}))?$/i;

/** One entry of a node list. */
export interface NodeName {
  /** Lower-cased text (but for a zone) with its port: the node's name in the ring and in every message. */
  name: string;
  /** Host name or IP address, without brackets; an IPv6 address with its zone, if it has one. */
  host: string;
  port: number;
}

/**
 * Reads `host`, `host:port` or `[IPv6]:port`, where the address may have a zone (`[fe80::1%eth0]:11211`).
 * @throws VolleyError ERR_VOLLEY_USAGE when it is none of these
 */
export function parseNodeName(text: string): NodeName {
  const [, ipv6, zone = '', plain, digits] = ENTRY.exec(text.trim()) ?? [];
  // Names of interfaces know capitals.
  const host = ipv6 ? ipv6.toLowerCase() + zone : plain?.toLowerCase();
  const port = Number(digits ?? DEFAULT_PORT);
  if (!host || port < 1 || port > 65535 || (ipv6 && !isIPv6(host))) {
    throw new VolleyError('ERR_VOLLEY_USAGE', `${quote(text)} is no storage node; ${FORM}`);
  }
  return { name: `${ipv6 ? `[${host}]` : host}:${port}`, host, port };
}

/**
 * Reads a node list: sorted by name, duplicates left out, so that every order of the same nodes gives the same ring.
 * @throws VolleyError ERR_VOLLEY_USAGE when it is empty, too long, or an entry is no node
 */
export function parseNodeList(texts: readonly string[]): NodeName[] {
  const nodes = new Map(texts.map((text) => [parseNodeName(text).name, parseNodeName(text)]));
  if (nodes.size === 0) {
    throw new VolleyError('ERR_VOLLEY_USAGE', `the node list is empty; ${FORM}`);
  }
  if (nodes.size > NODES_MAX) {
    throw new VolleyError(
      'ERR_VOLLEY_USAGE',
      `the node list names ${nodes.size} nodes; at most ${NODES_MAX} can be used`,
    );
  }
  return [...nodes.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
