import { isIPv6 } from 'node:net';
import { VolleyError } from './errors.js';
import { quote } from './keys.js';

const DEFAULT_PORT = 11211;
const NODES_MAX = 1024;
const FORM = 'give host, host:port or [IPv6]:port';

/** One entry of a node list. */
export interface NodeName {
  /** Lower-cased text with its port: the node's name in the ring and in every message. */
  name: string;
  /** Host name or IP address, without brackets. */
  host: string;
  port: number;
}

/**
 * Reads `host`, `host:port` or `[IPv6]:port`.
 * @throws VolleyError ERR_VOLLEY_USAGE when it is none of these
 */
export function parseNodeName(text: string): NodeName {
  const match = /^(?:\[([0-9a-f:.%]+)\]|([a-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text.trim().toLowerCase());
  const [, ipv6, plain, digits] = match ?? [];
  const host = ipv6 ?? plain;
  const port = Number(digits ?? DEFAULT_PORT);
  if (!host || port < 1 || port > 65535 || (ipv6 && !isIPv6(ipv6))) {
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
