import { isVolleyError, VolleyError } from '../src/errors.js';
import {
  fabricName,
  type JudgedWay,
  judgeFabrics,
  parseFabric,
  type WantedFabric,
  wayName,
} from '../src/fabric-choice.js';
import { deviceFault, fabricDevices } from '../src/fabric-devices.js';
import { DEVICE_PROVIDERS, providerFilter, refusalOf } from '../src/fabric-providers.js';
import { type FabricOffer, native, type Region } from '../src/native.js';

/** A region's offer to be read over a fabric, and why it is that one or none. */
export interface FabricOutcome {
  offer: FabricOffer | null;
  reason: string;
}

/** Where and for whom a region is offered. */
export interface FabricPlace {
  /** IP address that the node listens on. */
  address: string;
  connectionsMax: number;
  /** Milliseconds that a connection keeps its place when all are taken. */
  placeHeldMs: number;
}

/** Whether a region may come to be offered over a fabric, which pins all of its memory. */
export function mayBeOffered(text: string): boolean {
  return text === 'auto' ? fabricDevices().length > 0 : text !== 'off';
}

/**
 * Offers a region over a fabric.
 * @param text `auto` (the first device that there is at the address), `off`, or PROVIDER or PROVIDER/DEVICE
 * @throws VolleyError ERR_VOLLEY_USAGE; ERR_VOLLEY_FABRIC, _MEMORY or _SETUP when a provider was asked for by name and
 * cannot be had
 */
export async function offerFabric(region: Region, text: string, place: FabricPlace): Promise<FabricOutcome> {
  const wanted = parseFabric(text);
  if (wanted === 'off') return { offer: null, reason: 'switched off' };
  try {
    return await offerWanted(region, wanted, place);
  } catch (error) {
    if (wanted !== 'auto' || !isVolleyError(error)) throw error;
    return { offer: null, reason: error.message };
  }
}

async function offerWanted(
  region: Region,
  wanted: Exclude<WantedFabric, 'off'>,
  { address, connectionsMax, placeHeldMs }: FabricPlace,
): Promise<FabricOutcome> {
  const filter = providerFilter();
  const isAskedFor = wanted !== 'auto' || (filter.text !== null && !filter.text.startsWith('^'));
  if (!isAskedFor && fabricDevices().length === 0)
    return { offer: null, reason: 'this host has no fabric device' };
  if (wanted !== 'auto') refuseImpossible(wanted, filter);
  const host = address === '0.0.0.0' || address === '::' ? '' : address;
  const provider = wanted === 'auto' ? undefined : wanted.provider;
  const here = { host, listening: true, ...(provider && { provider }) };
  const judged: JudgedWay[] = [];
  const failures: Error[] = [];
  // Most providers are slow to tell of reliable datagrams, and connections come first anyway.
  for (const endpoint of ['msg', 'rdm'] as const) {
    const survey = await native().surveyFabrics({ ...here, endpoint });
    judged.push(...judgeFabrics(wanted, survey, filter));
    for (const way of judged) {
      if (way.rank === null || way.endpoint !== endpoint) continue;
      const { provider, device } = way;
      try {
        const limits = { connectionsMax, placeHeldMs };
        const offer = region.offer({ provider, device, endpoint, host, port: 0, ...limits });
        return { offer, reason: reasonFor(way, judged, failures) };
      } catch (error) {
        if (!isVolleyError(error)) throw error;
        failures.push(error);
      }
    }
  }
  if (failures[0]) throw failures[0];
  throw nothingUsable(wanted, judgeFabrics(wanted, await native().surveyFabrics(here), filter), address);
}

/** @throws VolleyError ERR_VOLLEY_FABRIC when no device could make it right */
function refuseImpossible(
  wanted: { provider: string; device: string | null },
  filter: ReturnType<typeof providerFilter>,
): void {
  const refusal = refusalOf(wanted.provider);
  if (refusal) throw fabricError(wanted, refusal);
  if (filter.allows(wanted.provider)) return;
  throw fabricError(wanted, `FI_PROVIDER=${filter.text} excludes it; unset FI_PROVIDER`);
}

/** What is told of a choice: why it was made, and why the others were not, each reason once. */
function reasonFor(taken: JudgedWay, judged: readonly JudgedWay[], failures: readonly Error[]): string {
  const others = new Map<string, Set<string>>();
  for (const way of judged) {
    if (way.rank !== null || way.provider === taken.provider) continue;
    const names = others.get(way.reason) ?? new Set();
    others.set(way.reason, names.add(way.provider));
  }
  const not = [...others].map(([reason, names]) => `not ${[...names].join(', ')}: ${reason}`);
  return [taken.reason, ...failures.map(({ message }) => message), ...not].join('; ');
}

function nothingUsable(
  wanted: Exclude<WantedFabric, 'off'>,
  judged: readonly JudgedWay[],
  address: string,
): VolleyError {
  const help = 'volley doctor tells which fabrics there are';
  if (wanted === 'auto') {
    const fault = deviceFault(DEVICE_PROVIDERS[0], address);
    return new VolleyError('ERR_VOLLEY_FABRIC', `no fabric can be read at ${address}: ${fault}; ${help}`);
  }
  const same = judged.filter(({ provider }) => provider === wanted.provider);
  const isThere = same.find(({ device }) => device === (wanted.device ?? device));
  const fault = deviceFault(wanted.provider, address);
  if (fault !== '' && wanted.device === null) return fabricError(wanted, `${fault}; ${help}`);
  if (isThere && isThere.rank === null) return fabricError(wanted, `${isThere.reason}; ${help}`);
  const devices = same.map(wayName).join(', ');
  const found = devices ? `it has ${devices}` : `libfabric has no such provider at ${address}`;
  return fabricError(wanted, `${found}; ${help}`);
}

function fabricError(wanted: { provider: string; device: string | null }, why: string): VolleyError {
  const text = `the region cannot be offered over the fabric ${fabricName(wanted)}: ${why}`;
  return new VolleyError('ERR_VOLLEY_FABRIC', text);
}
