import { lookup } from 'node:dns/promises';
import { isIP, isIPv6 } from 'node:net';
import type { NodeName } from '../src/node-name.js';
import { withDeadline } from './deadline.js';
import { nodeDown, nodeTimeout } from './node-errors.js';

/** A host name with more addresses than this is tried at these only. */
const ADDRESSES_MAX = 16;

/**
 * All IP addresses of a node's host, in the order in which they are to be tried: as the system sorts them, the families
 * alternating, so that a family that leads nowhere delays one attempt only. An IP address stands for itself, an IPv6 one
 * with its zone.
 * @throws VolleyError ERR_VOLLEY_NODE_DOWN when the name is unknown, ERR_VOLLEY_TIMEOUT, ERR_VOLLEY_ABORTED
 */
export async function resolveHost(
  node: NodeName,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<string[]> {
  if (isIP(node.host)) return [node.host];
  const found = lookup(node.host, { all: true, verbatim: true }).catch((error: Error) => {
    throw nodeDown(node.name, error);
  });
  const onTimeout = () => nodeTimeout(node.name, 'look-up of its host name', timeoutMs);
  const entries = await withDeadline(found, timeoutMs, signal, onTimeout);
  return alternate(entries.map(({ address }) => address)).slice(0, ADDRESSES_MAX);
}

/** The addresses with their families alternating, beginning with that of the first. */
function alternate(addresses: readonly string[]): string[] {
  const firstIsIPv6 = isIPv6(addresses[0] ?? '');
  const first = addresses.filter((address) => isIPv6(address) === firstIsIPv6);
  const other = addresses.filter((address) => isIPv6(address) !== firstIsIPv6);
  const longer = Math.max(first.length, other.length);
  return Array.from({ length: longer }, (_, i) => [first[i], other[i]])
    .flat()
    .filter((address) => address !== undefined);
}
