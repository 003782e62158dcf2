import { VolleyError } from './errors.js';
import type { FabricSurvey, FabricWay } from './native.js';

/** What --fabric says. */
export type WantedFabric = 'auto' | 'off' | { provider: string; device: string | null };

/** FI_PROVIDER, which libfabric itself obeys: `verbs,efa` leaves only these, `^tcp` leaves them out. */
export interface ProviderFilter {
  /** As it was set, or null. */
  text: string | null;
  /** Whether libfabric may use a provider, given its name, such as `verbs`. */
  allows(provider: string): boolean;
  /** Whether the provider is asked for by its name. */
  names(provider: string): boolean;
}

export interface JudgedWay extends FabricWay {
  /** Place among those that may be taken, 0 is taken first; null may not be. */
  rank: number | null;
  /** Why it is taken, or why not. */
  reason: string;
}

/** Fabrics that are made of hardware, the preferred first. `auto` takes no other. */
export const DEVICE_PROVIDERS = ['verbs', 'efa', 'cxi', 'opx', 'psm3', 'psm2'] as const;
/** What runs over sockets or shared memory; no faster than Volley's own transports. */
const SOFTWARE_PROVIDERS = ['net', 'tcp', 'sockets', 'udp', 'shm', 'sm2', 'lnx'];
/** What libfabric answers to who wants to listen on all addresses; memory cannot be registered with it. */
const VERBS_ANY_DEVICE = 'verbs_any_domain';
/** Lets whoever connects read all of the process' memory, with any key. */
const UNSAFE_PROVIDERS = ['shm', 'sm2'];

/** @throws VolleyError ERR_VOLLEY_USAGE */
export function parseFabric(text: string): WantedFabric {
  if (text === 'auto' || text === 'off') return text;
  const [, provider, device] = /^([a-z0-9_;-]{1,64})(?:\/([\x21-\x7e]{1,64}))?$/i.exec(text) ?? [];
  if (provider) return { provider, device: device ?? null };
  const form = 'auto, off, or PROVIDER or PROVIDER/DEVICE as volley doctor lists them';
  throw new VolleyError('ERR_VOLLEY_USAGE', `--fabric is ${JSON.stringify(text)}; it must be ${form}`);
}

/** What FI_PROVIDER says. Layers such as ofi_rxm are there whatever is asked for. */
export function providerFilter(text: string | undefined = process.env.FI_PROVIDER): ProviderFilter {
  if (!text) return { text: null, allows: () => true, names: () => false };
  const negated = text.startsWith('^');
  const listed = text
    .slice(negated ? 1 : 0)
    .split(',')
    .map((name) => coreOf(name.trim()));
  const isListed = (provider: string) => listed.includes(coreOf(provider));
  return {
    text,
    allows: (provider) => isListed(provider) !== negated,
    names: (provider) => !negated && isListed(provider),
  };
}

/** `verbs` of `verbs;ofi_rxm`. */
function coreOf(provider: string): string {
  return provider.split(';').find((part) => !part.startsWith('ofi_')) ?? provider;
}

export function isSoftware(provider: string): boolean {
  return SOFTWARE_PROVIDERS.includes(coreOf(provider));
}

/** Whether a provider, or what lies under its layers, is made of devices. */
export function isMadeOfDevices(provider: string): boolean {
  return (DEVICE_PROVIDERS as readonly string[]).includes(coreOf(provider));
}

/** `verbs/mlx5_0 (msg)` */
export function wayName({
  provider,
  device,
  endpoint,
}: Pick<FabricWay, 'provider' | 'device' | 'endpoint'>): string {
  return `${provider}/${device} (${endpoint})`;
}

/** Why a provider is never taken, whoever asks for it; or null. */
export function unsafeReason(provider: string): string | null {
  if (!UNSAFE_PROVIDERS.includes(coreOf(provider))) return null;
  return `${provider} lets any key read all memory of a node; on one host take the local transport`;
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
  const unsafe = unsafeReason(provider);
  if (unsafe) return unsafe;
  if (!reads) return 'cannot read remote memory';
  if (wanted !== 'auto') return here ? null : 'not at this address';
  if (provider.includes(';')) return `a layer over ${coreOf(provider)}; --fabric '${provider}' takes it`;
  const isDevice = (DEVICE_PROVIDERS as readonly string[]).includes(provider);
  if (isDevice || filter.names(provider)) return here ? null : 'not at this address';
  if (isSoftware(provider)) return `software only; --fabric ${provider} takes it`;
  return `not known to be a device's; --fabric ${provider} takes it`;
}

export function fabricName({ provider, device }: { provider: string; device: string | null }): string {
  return device === null ? provider : `${provider}/${device}`;
}
