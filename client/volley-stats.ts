import { providerName } from '../src/fabric-providers.js';
import type { FabricOffer } from '../src/native.js';

/** What a Volley node's `stats volley` tells, as far as a client needs it. The names are told in docs/protocol.md. */
export interface VolleyStats {
  layoutVersion: number;
  /** Another one at each start of the node. */
  epoch: bigint;
  /** Tells whether the node runs on this host. */
  bootId: string;
  /** The unix socket that hands out the region, or null when the node does not. */
  localPath: string | null;
  /** How its region is read over a fabric, or null when it is not offered so. */
  fabric: FabricOffer | null;
  /** Why the node offers that one, or none, in its own words; printable ASCII. */
  fabricReason: string;
  /** What clients have to show: `none`, or a user and `password`. */
  authentication: 'none' | 'password';
  /** Everything that the node told, by name. */
  all: Record<string, string>;
}

/** Longest reason that is told on. */
const REASON_MAX = 600;
/** Longest path that a unix socket can have. */
const SOCKET_PATH_MAX = 107;

/** Reads the section, or null when it is not what a Volley node tells (a stock memcached, a version of the future). */
export function parseVolleyStats(all: Record<string, string> | null): VolleyStats | null {
  if (!all || !/^\d{1,9}$/.test(all.layout_version ?? '') || !/^[0-9a-f]{16}$/.test(all.epoch ?? ''))
    return null;
  const path = all.local_path ?? '';
  const usable = path.startsWith('/') && Buffer.byteLength(path) <= SOCKET_PATH_MAX;
  return {
    layoutVersion: Number(all.layout_version),
    epoch: BigInt(`0x${all.epoch}`),
    bootId: all.boot_id ?? '',
    authentication: all.authentication === 'password' ? 'password' : 'none',
    localPath: usable ? path : null,
    fabric: parseOffer(all),
    fabricReason: (all.fabric_reason ?? '').replaceAll(/[^\x20-\x7e]/g, '?').slice(0, REASON_MAX),
    all,
  };
}

function parseOffer(all: Record<string, string>): FabricOffer | null {
  const { fabric_provider: provider = '', fabric_port: port = '', fabric_base: base, fabric_key: key } = all;
  const { fabric_address: address = '', fabric_token: token = '', fabric_device: device = '' } = all;
  const isHex = (text: string | undefined) => text !== undefined && /^[0-9a-f]{16}$/.test(text);
  const portNumber = /^\d{1,5}$/.test(port) ? Number(port) : 0;
  if (!/^[a-z0-9_;-]{1,64}$/i.test(provider) || portNumber < 1 || portNumber > 65_535) return null;
  if (!isHex(base) || !isHex(key) || !/^([0-9a-f]{2}){0,256}$/.test(address)) return null;
  if (!/^[0-9a-f]{32}$/.test(token) || !/^[\x21-\x7e]{0,64}$/.test(device)) return null;
  return {
    provider: providerName(provider),
    device,
    // The node's endpoint for reliable datagrams is all the address that such a fabric has.
    endpoint: address === '' ? 'msg' : 'rdm',
    port: portNumber,
    address: Buffer.from(address, 'hex'),
    base: BigInt(`0x${base}`),
    key: BigInt(`0x${key}`),
    token: Buffer.from(token, 'hex'),
  };
}
