import { existsSync, readFileSync } from 'node:fs';
import { isVolleyError, VolleyError } from '../src/errors.js';
import { type LocalRegion, native } from '../src/native.js';
import type { NodeTransport } from './cluster-node.js';
import type { VolleyStats } from './volley-stats.js';

/** `auto` takes the best that works; the others insist. */
export type WantedTransport = 'auto' | NodeTransport;

export interface TransportChoice {
  transport: NodeTransport;
  /** In words. */
  reason: string;
  region: LocalRegion | null;
}

/**
 * How to read chunks from a node.
 * @throws VolleyError ERR_VOLLEY_TRANSPORT that tells why, when `local` is wanted and not possible
 */
export async function chooseTransport(
  node: string,
  wanted: WantedTransport,
  volley: VolleyStats | null,
  timeoutMs: number,
): Promise<TransportChoice> {
  if (wanted === 'tcp') return { transport: 'tcp', reason: 'tcp was asked for', region: null };
  const local = await openLocal(volley, timeoutMs);
  if (typeof local !== 'string') {
    return { transport: 'local', reason: "same host, the node's memory is mapped", region: local };
  }
  if (wanted === 'local') {
    const help = 'take --transport auto, or start a Volley node on this host';
    throw new VolleyError('ERR_VOLLEY_TRANSPORT', `node ${node} cannot be read by local: ${local}; ${help}`);
  }
  return { transport: 'tcp', reason: local, region: null };
}

/** The node's region, mapped, or why that is not possible. */
async function openLocal(volley: VolleyStats | null, timeoutMs: number): Promise<LocalRegion | string> {
  if (!volley) return 'a stock memcached has no region to read from';
  if (!volley.localPath) return 'the node does not hand out its region';
  if (volley.bootId !== bootId()) return 'the node is on another host';
  if (!existsSync(volley.localPath)) return `the node's socket ${volley.localPath} does not exist here`;
  try {
    const region = await native().openLocalRegion(volley.localPath, timeoutMs);
    if (region.info.epoch === volley.epoch) return region;
    region.close();
    return "the region handed out is not the node's current one";
  } catch (error) {
    if (!isVolleyError(error)) throw error;
    return error.message;
  }
}

/** Identifies this boot of this host's kernel. */
function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}
