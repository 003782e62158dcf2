import { existsSync, readdirSync } from 'node:fs';
import { isVolleyError } from '../src/errors.js';
import type { FabricOffer, Region } from '../src/native.js';

const DEVICES = '/sys/class/infiniband';
/** libfabric's name of the provider for InfiniBand, RoCE and iWARP. */
const VERBS = 'verbs';

/** A region's offer to be read over a fabric, or why there is none. */
export interface FabricOutcome {
  offer: FabricOffer | null;
  reason: string;
}

/**
 * Offers a region over a fabric.
 * @param wanted `auto` (verbs where there is an RDMA device), `off`, or libfabric's name of a provider
 * @throws VolleyError ERR_VOLLEY_FABRIC, _MEMORY or _SETUP when a provider was asked for by name and cannot be had
 */
export function offerFabric(
  region: Region,
  wanted: string,
  address: string,
  connectionsMax: number,
): FabricOutcome {
  if (wanted === 'off') return { offer: null, reason: 'switched off' };
  if (wanted === 'auto' && !hasDevice()) return { offer: null, reason: 'this host has no RDMA device' };
  const host = address === '0.0.0.0' || address === '::' ? '' : address;
  const provider = wanted === 'auto' ? VERBS : wanted;
  try {
    return { offer: region.offer({ provider, host, port: 0, connectionsMax }), reason: '' };
  } catch (error) {
    if (wanted !== 'auto' || !isVolleyError(error)) throw error;
    return { offer: null, reason: error.message };
  }
}

function hasDevice(): boolean {
  return existsSync(DEVICES) && readdirSync(DEVICES).length > 0;
}
