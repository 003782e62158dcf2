import { isIP } from 'node:net';
import { isVolleyError } from './errors.js';
import { NODES_MAX, parseNodeName } from './node-name.js';

/** A node of the list that an image was stored with, as the client that stored it knew it. */
export interface RecordedNode {
  /** Its name in that list, and so in the ring: lower-case, with the port. */
  name: string;
  /** The IP address and port that the name stood for then, in the form of a node's name. */
  address: string;
  /** The node's epoch then; 0n for a stock memcached. */
  epoch: bigint;
}

const ENTRY_BYTES = 12;
const TEXT_BYTES_MAX = 0xffff;

/**
 * A node list in bytes (docs/protocol.md, "Manifest"): per node the epoch, the lengths of name and address, and both.
 * @param nodes in the order of their names
 */
export function encodeNodes(nodes: readonly RecordedNode[]): Buffer {
  const entries = nodes.map(({ name, address, epoch }) => {
    const shown = address === name ? '' : address;
    const entry = Buffer.alloc(ENTRY_BYTES + name.length + shown.length);
    entry.writeBigUInt64LE(epoch, 0);
    entry.writeUInt16LE(name.length, 8);
    entry.writeUInt16LE(shown.length, 10);
    entry.write(name + shown, ENTRY_BYTES, 'latin1');
    return entry;
  });
  return Buffer.concat(entries);
}

/** The node list of some bytes, or null when they are none that encodeNodes() makes. */
export function decodeNodes(bytes: Buffer): RecordedNode[] | null {
  const nodes: RecordedNode[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + ENTRY_BYTES > bytes.length || nodes.length === NODES_MAX) return null;
    const nameEnd = at + ENTRY_BYTES + bytes.readUInt16LE(at + 8);
    const end = nameEnd + bytes.readUInt16LE(at + 10);
    if (end > bytes.length) return null;
    const name = bytes.toString('latin1', at + ENTRY_BYTES, nameEnd);
    const shown = bytes.toString('latin1', nameEnd, end);
    const address = shown || name;
    const isInOrder = nodes.length === 0 || nodes[nodes.length - 1]!.name < name;
    if (!isInOrder || shown === name || !isNodeName(name) || !isNodeAddress(address, shown)) return null;
    nodes.push({ name, address, epoch: bytes.readBigUInt64LE(at) });
    at = end;
  }
  return nodes.length === 0 ? null : nodes;
}

/** How a node's IP address and port are recorded. */
export function addressText(address: string, port: number): string {
  return address.includes(':') ? `[${address.toLowerCase()}]:${port}` : `${address}:${port}`;
}

function isNodeName(text: string): boolean {
  try {
    return text.length <= TEXT_BYTES_MAX && parseNodeName(text).name === text;
  } catch (error) {
    if (isVolleyError(error)) return false;
    throw error;
  }
}

/** A name that is a host's needs an address beside it; a name that is an address needs none, and may have one. */
function isNodeAddress(address: string, shown: string): boolean {
  return shown === '' || (isNodeName(address) && isIP(parseNodeName(address).host) !== 0);
}
