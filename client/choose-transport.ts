import { existsSync, readFileSync } from 'node:fs';
import { isVolleyError, VolleyError } from '../src/errors.js';
import { type LocalRegion, native, type RemoteRegion } from '../src/native.js';
import type { NodeTransport } from './cluster-node.js';
import type { VolleyStats } from './volley-stats.js';

/** `auto` takes the best that works; the others insist. */
export type WantedTransport = 'auto' | NodeTransport;

export interface TransportChoice {
  transport: NodeTransport;
  /** In words. */
  reason: string;
  region: LocalRegion | RemoteRegion | null;
}

/** What the choice is made from. */
export interface TransportQuestion {
  node: string;
  /** The node's IP address. */
  address: string;
  wanted: WantedTransport;
  volley: VolleyStats | null;
  timeoutMs: number;
}

/**
 * How to read chunks from a node: `local`, else `fabric`, else `tcp`, or what was asked for.
 * @throws VolleyError ERR_VOLLEY_TRANSPORT that tells why, when what is wanted is not possible
 */
export async function chooseTransport(question: TransportQuestion): Promise<TransportChoice> {
  const { node, wanted, volley, timeoutMs } = question;
  if (wanted === 'tcp') return { transport: 'tcp', reason: 'tcp was asked for', region: null };
  const local = wanted === 'fabric' ? 'fabric was asked for' : await openLocal(volley, timeoutMs);
  if (typeof local !== 'string') {
    return { transport: 'local', reason: "same host, the node's memory is mapped", region: local };
  }
  if (wanted === 'local') throw notPossible(node, wanted, local, 'start a Volley node on this host');
  const fabric = await openFabric(question);
  if (typeof fabric !== 'string') {
    return {
      transport: 'fabric',
      reason: `one-sided reads over ${volley!.fabric!.provider}`,
      region: fabric,
    };
  }
  if (wanted === 'fabric') throw notPossible(node, wanted, fabric, 'start the node with --fabric');
  return { transport: 'tcp', reason: `${local}; ${fabric}`, region: null };
}

function notPossible(node: string, wanted: NodeTransport, why: string, help: string): VolleyError {
  const text = `node ${node} cannot be read by ${wanted}: ${why}; take --transport auto, or ${help}`;
  return new VolleyError('ERR_VOLLEY_TRANSPORT', text);
}

/** The node's region over a fabric, or why that is not possible. */
async function openFabric({ address, volley, timeoutMs }: TransportQuestion): Promise<RemoteRegion | string> {
  if (!volley) return 'it offers no fabric';
  if (!volley.fabric) return 'the node offers no fabric';
  try {
    const region = await native().openRemoteRegion({ ...volley.fabric, host: address, timeoutMs });
    if (region.info.epoch === volley.epoch) return region;
    region.close();
    return "the region offered over the fabric is not the node's current one";
  } catch (error) {
    if (!isVolleyError(error)) throw error;
    return error.message;
  }
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
