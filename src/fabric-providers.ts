/** Fabrics that are made of hardware, the preferred first. `auto` takes no other. */
export const DEVICE_PROVIDERS = ['verbs', 'efa', 'cxi', 'opx', 'psm3', 'psm2'] as const;
/** What runs over sockets or shared memory; no faster than Volley's own transports. */
const SOFTWARE_PROVIDERS = ['net', 'tcp', 'sockets', 'udp', 'shm', 'sm2', 'lnx'];
/** Providers over plain TCP sockets, alone or under a layer. */
const TCP_PROVIDERS = ['net', 'tcp'];

const IN_SHARED_MEMORY = 'its access control cannot be relied on; on one host take the local transport';
/** What is never taken, alone or under a layer, and why. */
const REFUSED_CORES = new Map([
  ['shm', IN_SHARED_MEMORY],
  ['sm2', IN_SHARED_MEMORY],
  ['sockets', 'libfabric no longer maintains it; --fabric net is its successor'],
]);
/** What libfabric 1.17 has beside what we take by these names: see providerName(). */
const REFUSED = new Map([
  ['tcp', "libfabric 1.17's may leave reads without an answer; --fabric tcp means net, its successor"],
  ['net;ofi_rxm', "--fabric 'tcp;ofi_rxm' is the same"],
]);
const OTHER_NAMES = new Map([
  ['tcp', 'net'],
  ['net;ofi_rxm', 'tcp;ofi_rxm'],
]);

/** FI_PROVIDER, which libfabric itself obeys: `verbs,efa` leaves only these, `^tcp` leaves them out. */
export interface ProviderFilter {
  /** As it was set, or null. */
  text: string | null;
  /** Whether libfabric may use a provider, given its name, such as `verbs`. */
  allows(provider: string): boolean;
  /** Whether the provider is asked for by its name. */
  names(provider: string): boolean;
}

/**
 * Volley's name of a provider that a user or a node has named. What libfabric 1.17 calls `net` is `tcp` since 1.18 and speaks
 * the same protocol: it is `net` here, so that hosts with either find each other. Under ofi_rxm it is `tcp`, which both
 * have: that layer does not work over 1.17's `net`.
 */
export function providerName(name: string): string {
  return OTHER_NAMES.get(name) ?? name;
}

/** What FI_PROVIDER says. Layers such as ofi_rxm are there whatever is asked for. */
export function providerFilter(text: string | undefined = process.env.FI_PROVIDER): ProviderFilter {
  if (!text) return { text: null, allows: () => true, names: () => false };
  const negated = text.startsWith('^');
  const kindOf = (provider: string) => providerName(coreOf(provider));
  const listed = text
    .slice(negated ? 1 : 0)
    .split(',')
    .map((name) => kindOf(name.trim()));
  const isListed = (provider: string) => listed.includes(kindOf(provider));
  return {
    text,
    allows: (provider) => isListed(provider) !== negated,
    names: (provider) => !negated && isListed(provider),
  };
}

/** `verbs` of `verbs;ofi_rxm`. */
export function coreOf(provider: string): string {
  return provider.split(';').find((part) => !part.startsWith('ofi_')) ?? provider;
}

export function isSoftware(provider: string): boolean {
  return SOFTWARE_PROVIDERS.includes(coreOf(provider));
}

/** Whether a provider, or what lies under its layers, is made of devices. */
export function isMadeOfDevices(provider: string): boolean {
  return (DEVICE_PROVIDERS as readonly string[]).includes(coreOf(provider));
}

/** Why a provider is never taken, whoever asks for it; or null. */
export function refusalOf(provider: string): string | null {
  const reason = REFUSED_CORES.get(coreOf(provider)) ?? REFUSED.get(provider);
  return reason === undefined ? null : `Volley does not use ${provider}: ${reason}`;
}

/** What whoever takes a provider must know of its peers; or ''. */
export function trustWarning(provider: string): string {
  if (!TCP_PROVIDERS.includes(coreOf(provider))) return '';
  return (
    `a hostile peer can overflow buffers of libfabric's ${provider}, up to at least version 2.6.0 (its pull request 12593): ` +
    'use it only where every host that reaches the fabric port is trusted'
  );
}
