import { existsSync, readFileSync } from 'node:fs';
import { isVolleyError, VolleyError } from '../src/errors.js';
import { fabricName, parseFabric, type WantedFabric, wayName } from '../src/fabric-choice.js';
import { deviceFault } from '../src/fabric-devices.js';
import { isMadeOfDevices, isSoftware, providerFilter, refusalOf } from '../src/fabric-providers.js';
import {
  type FabricOffer,
  type FabricSide,
  type LocalRegion,
  native,
  type RemoteRegion,
} from '../src/native.js';
import type { NodeTransport } from './cluster-node.js';
import type { VolleyStats } from './volley-stats.js';

/** `auto` takes the best that works; the others insist. */
export type WantedTransport = 'auto' | NodeTransport;

export interface TransportChoice {
  transport: NodeTransport;
  /** In words. */
  reason: string;
  region: LocalRegion | RemoteRegion | null;
  /** This host's side of the fabric, when the transport is one. */
  fabric: FabricSide | null;
}

/** What the choice is made from. */
export interface TransportQuestion {
  node: string;
  /** The IP address that the node answered at. */
  address: string;
  /** All IP addresses of its host: its fabric may be on another one. */
  addresses: readonly string[];
  wanted: WantedTransport;
  /** `auto` (the fabric that the node offers), `off`, or PROVIDER or PROVIDER/DEVICE. */
  fabric: string;
  volley: VolleyStats | null;
  timeoutMs: number;
}

type OpenRemoteOptions = Parameters<ReturnType<typeof native>['openRemoteRegion']>[0];

/**
 * How to read chunks from a node: `local`, else `fabric`, else `tcp`, or what was asked for.
 * @throws VolleyError ERR_VOLLEY_TRANSPORT that tells why, when what is wanted is not possible; ERR_VOLLEY_USAGE
 */
export async function chooseTransport(question: TransportQuestion): Promise<TransportChoice> {
  const { node, wanted, volley, timeoutMs } = question;
  const overTcp = (reason: string) => ({ transport: 'tcp', reason, region: null, fabric: null }) as const;
  if (wanted === 'tcp') return overTcp('tcp was asked for');
  const local = wanted === 'fabric' ? 'fabric was asked for' : await openLocal(volley, timeoutMs);
  if (typeof local !== 'string') {
    const reason = "same host, the node's memory is mapped";
    return { transport: 'local', reason, region: local, fabric: null };
  }
  if (wanted === 'local') throw notPossible(node, wanted, local, 'start a Volley node on this host');
  const fabric = await openFabric(question);
  if (typeof fabric !== 'string') {
    const { way } = fabric;
    const reason = `one-sided reads over ${wayName(way)}, which the node offers; not local: ${local}`;
    return { transport: 'fabric', reason, region: fabric, fabric: way };
  }
  if (wanted === 'fabric') throw notPossible(node, wanted, fabric, 'start the node with --fabric');
  return overTcp(`${local}; ${fabric}`);
}

function notPossible(node: string, wanted: NodeTransport, why: string, help: string): VolleyError {
  const text = `node ${node} cannot be read by ${wanted}: ${why}; take --transport auto, or ${help}`;
  return new VolleyError('ERR_VOLLEY_TRANSPORT', text);
}

/** The node's region over a fabric, or why that is not possible, at the first address. */
async function openFabric(question: TransportQuestion): Promise<RemoteRegion | string> {
  const { address: answered, addresses, volley, timeoutMs } = question;
  const wanted = parseFabric(question.fabric);
  if (!volley) return 'it offers no fabric';
  if (!volley.fabric) return `the node offers no fabric${volley.fabricReason && `: ${volley.fabricReason}`}`;
  const fault = faultOf(volley.fabric, wanted, question.wanted === 'fabric');
  if (fault !== null) return fault;
  const localDevice = (typeof wanted === 'object' && wanted.device) || undefined;
  const endMs = performance.now() + timeoutMs;
  let first = '';
  for (const address of [answered, ...addresses.filter((other) => other !== answered)]) {
    const leftMs = Math.ceil(endMs - performance.now());
    if (leftMs <= 0) break;
    const options = {
      ...volley.fabric,
      host: address,
      timeoutMs: leftMs,
      ...(localDevice && { localDevice }),
    };
    const region = await openAt(options, volley.epoch);
    if (typeof region !== 'string') return region;
    first ||= region;
  }
  return first;
}

/** The region at one address, or why not. */
async function openAt(options: OpenRemoteOptions, epoch: bigint): Promise<RemoteRegion | string> {
  try {
    const region = await native().openRemoteRegion(options);
    if (region.info.epoch === epoch) return region;
    region.close();
    return "the region offered over the fabric is not the node's current one";
  } catch (error) {
    if (!isVolleyError(error)) throw error;
    const fault = error.code === 'ERR_VOLLEY_FABRIC' ? await noWay(options) : '';
    return fault || error.message;
  }
}

/** Why no device of this host leads to the node, or '' when one does, or when it does not take a device. */
async function noWay({ provider, endpoint, host }: OpenRemoteOptions): Promise<string> {
  if (!isMadeOfDevices(provider)) return '';
  const { ways } = await native().surveyFabrics({ provider, endpoint, host, listening: false });
  const leadsThere = ways.some((way) => way.reads && way.here && way.provider === provider);
  return leadsThere ? '' : deviceFault(provider, host);
}

/**
 * Why a node's offer is not to be taken, or null. A client has to take the provider that the node has: others speak other
 * protocols.
 * @param isInsistedOn whether a fabric has to be it, whichever
 */
function faultOf({ provider }: FabricOffer, wanted: WantedFabric, isInsistedOn: boolean): string | null {
  if (wanted === 'off') return 'fabrics are switched off';
  if (wanted !== 'auto' && wanted.provider !== provider) {
    return `the node offers the fabric ${provider}, and ${fabricName(wanted)} was asked for`;
  }
  const filter = providerFilter();
  if (!filter.allows(provider)) {
    return `the node offers the fabric ${provider}, which FI_PROVIDER=${filter.text} excludes`;
  }
  const isAskedFor = wanted !== 'auto' || isInsistedOn || filter.names(provider);
  if (isSoftware(provider) && !isAskedFor) {
    return `the node offers the fabric ${provider}, which is software only; --fabric '${provider}' takes it`;
  }
  return refusalOf(provider);
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
