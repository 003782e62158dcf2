import { VolleyError } from './errors.js';
import {
  coreOf,
  DEVICE_PROVIDERS,
  isSoftware,
  type ProviderFilter,
  providerName,
  refusalOf,
  trustWarning,
} from './fabric-providers.js';
import type { FabricSurvey, FabricWay } from './native.js';

/** What --fabric says. */
export type WantedFabric = 'auto' | 'off' | { provider: string; device: string | null };

export interface JudgedWay extends FabricWay {
  /** Place among those that may be taken, 0 is taken first; null may not be. */
  rank: number | null;
  /** Why it is taken, or why not. */
  reason: string;
}

/** What libfabric answers to who wants to listen on all addresses; memory cannot be registered with it. */
const VERBS_ANY_DEVICE = 'verbs_any_domain';
/** @throws VolleyError ERR_VOLLEY_USAGE */
export function parseFabric(text: string): WantedFabric {
  if (text === 'auto' || text === 'off') return text;
  const [, provider, device] = /^([a-z0-9_;-]{1,64})(?:\/([\x21-\x7e]{1,64}))?$/i.exec(text) ?? [];
  if (provider) return { provider: providerName(provider), device: device ?? null };
  const form = 'auto, off, or PROVIDER or PROVIDER/DEVICE as volley doctor lists them';
  throw new VolleyError('ERR_VOLLEY_USAGE', `--fabric is ${JSON.stringify(text)}; it must be ${form}`);
}

/** `verbs/mlx5_0 (msg)` */
export function wayName({
  provider,
  device,
  endpoint,
}: Pick<FabricWay, 'provider' | 'device' | 'endpoint'>): string {
  return `${provider}/${device} (${endpoint})`;
}

/**
 * Judges what libfabric offers at an address: connected endpoints before reliable datagrams; for `auto` only fabrics that
 * are made of hardware, and what FI_PROVIDER asks for by name. Those that may be taken come first, in order.
 */
export function judgeFabrics(
  wanted: Exclude<WantedFabric, 'off'>,
  survey: FabricSurvey,
  filter: ProviderFilter,
): JudgedWay[] {
  const judged = survey.ways.map((way) => ({ way, fault: faultOf(way, wanted, filter) }));
  const usable = judged.filter(({ fault }) => fault === null).map(({ way }) => way);
  usable.sort((a, b) => merit(a) - merit(b));
  const first = usable[0];
  return [
    ...usable.map((way, rank) => {
      const reason = rank === 0 ? whyTaken(way, wanted, filter) : `${wayName(first!)} comes first`;
      return { ...way, rank, reason };
    }),
    ...judged.flatMap(({ way, fault }) => (fault === null ? [] : [{ ...way, rank: null, reason: fault }])),
  ];
}

/** Smaller is better. Equal ones keep libfabric's order. */
function merit({ provider, endpoint }: FabricWay): number {
  const place = (DEVICE_PROVIDERS as readonly string[]).indexOf(provider);
  const places = DEVICE_PROVIDERS.length;
  return (endpoint === 'msg' ? 0 : places + 1) + (place < 0 ? places : place);
}

function whyTaken(
  { provider, endpoint }: FabricWay,
  wanted: Exclude<WantedFabric, 'off'>,
  filter: ProviderFilter,
): string {
  if (wanted !== 'auto') return `${fabricName(wanted)} was asked for`;
  if (filter.names(provider)) return `FI_PROVIDER=${filter.text} asks for it`;
  if (endpoint === 'msg') return 'the first device with connected endpoints';
  return 'the first device; none has connected endpoints';
}

/** Why a way may not be taken, or null. */
function faultOf(
  way: FabricWay,
  wanted: Exclude<WantedFabric, 'off'>,
  filter: ProviderFilter,
): string | null {
  const { provider, device, endpoint, reads, here } = way;
  if (typeof wanted === 'object') {
    const isMeant = provider === wanted.provider && (wanted.device ?? device) === device;
    if (!isMeant) return `${fabricName(wanted)} was asked for`;
  }
  if (device === VERBS_ANY_DEVICE) return "it needs the device's own address: -l ADDRESS";
  if (!filter.allows(provider)) return `FI_PROVIDER=${filter.text} excludes it`;
  if (endpoint === 'dgram') return 'datagram endpoints cannot read remote memory';
  const refusal = refusalOf(provider);
  if (refusal) return refusal;
  if (!reads) return 'cannot read remote memory';
  if (wanted !== 'auto') return here ? null : 'not at this address';
  const name = provider === 'net' ? 'net (or tcp)' : `'${provider}'`;
  const taking = `--fabric ${name} takes it${trustWarning(provider) && ', among trusted peers only'}`;
  if (provider.includes(';')) return `a layer over ${coreOf(provider)}; ${taking}`;
  const isDevice = (DEVICE_PROVIDERS as readonly string[]).includes(provider);
  if (isDevice || filter.names(provider)) return here ? null : 'not at this address';
  if (isSoftware(provider)) return `software only; ${taking}`;
  return `not known to be a device's; ${taking}`;
}

export function fabricName({ provider, device }: { provider: string; device: string | null }): string {
  return device === null ? provider : `${provider}/${device}`;
}
