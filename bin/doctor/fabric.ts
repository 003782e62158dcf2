import { isVolleyError } from '../../src/errors.js';
import { judgeFabrics, wayName } from '../../src/fabric-choice.js';
import { dashFault, type FabricDevice, fabricDevices } from '../../src/fabric-devices.js';
import { DEVICE_PROVIDERS, type ProviderFilter, providerFilter } from '../../src/fabric-providers.js';
import { type FabricSurvey, type FabricUse, type FabricWay, native } from '../../src/native.js';
import { type Check, good, limited } from './check.js';

/** A provider and what is said of it. */
export interface FabricRow {
  provider: string;
  /** Null where there is none. */
  device: string | null;
  endpoint: FabricWay['endpoint'] | null;
  chosen: boolean;
  /** Why it is chosen, or why not. */
  reason: string;
}

/** What `volley doctor` tells of fabrics. */
export interface FabricReport {
  /** libfabric's version, or null when it cannot be used. */
  libfabric: string | null;
  /** FI_PROVIDER as it is set, or null. */
  filter: string | null;
  /** What a node with `--fabric auto` takes when it listens on that device's address. Clients take what a node offers. */
  chosen: FabricUse | null;
  ways: FabricRow[];
}

export interface FabricFindings {
  checks: Check[];
  report: FabricReport;
}

/**
 * Looks at libfabric, the devices, and what `--fabric auto` makes of them.
 * @param memlock what memory can be locked
 */
export async function checkFabrics(memlock: Check, devices = fabricDevices()): Promise<FabricFindings> {
  const filter = providerFilter();
  const survey = await takeSurvey();
  const rows = survey instanceof Error ? [] : judge(survey, devices, filter, memlock);
  const first = rows.find(({ chosen }) => chosen);
  const report: FabricReport = {
    libfabric: survey instanceof Error ? null : survey.version,
    filter: filter.text,
    chosen: first
      ? { provider: first.provider, device: first.device!, endpoint: first.endpoint as 'msg' | 'rdm' }
      : null,
    ways: rows,
  };
  return { checks: [libfabricCheck(survey, filter), deviceCheck(devices)], report };
}

/** What libfabric has, or why it cannot be asked. */
async function takeSurvey(): Promise<FabricSurvey | Error> {
  try {
    return await native().surveyFabrics({ host: '', listening: false });
  } catch (error) {
    if (isVolleyError(error)) return error;
    throw error;
  }
}

function libfabricCheck(survey: FabricSurvey | Error, filter: ProviderFilter): Check {
  if (survey instanceof Error) return limited('libfabric', survey.message, 'apt-get install libfabric1');
  const limit = filter.text === null ? '' : `, limited by FI_PROVIDER=${filter.text}`;
  return good('libfabric', `${survey.version}${limit}`);
}

function deviceCheck(devices: readonly FabricDevice[]): Check {
  const found = devices.map(({ name, portStates }) => [name, ...portStates].join(' ')).join(', ');
  const down = devices.filter((device) => !isUp(device));
  if (devices.length === 0) {
    const help =
      'with a RoCE or InfiniBand card: apt-get install rdma-core; without: rdma link add rxe0 type rxe netdev IF';
    return limited('rdma devices', 'none', help);
  }
  const dashed = dashFault(devices);
  if (dashed && down.length < devices.length)
    return limited('rdma devices', `${found}; ${dashed.fault}`, dashed.remedy);
  if (down.length < devices.length) return good('rdma devices', found);
  return limited(
    'rdma devices',
    found,
    `bring a port up: ip link set IF up, or see to the cable (rdma link)`,
  );
}

/** A device of which the kernel tells no ports is taken to be up. */
function isUp({ portStates }: FabricDevice): boolean {
  return portStates.length === 0 || portStates.includes('ACTIVE');
}

function judge(
  survey: FabricSurvey,
  devices: readonly FabricDevice[],
  filter: ProviderFilter,
  memlock: Check,
): FabricRow[] {
  const ways = judgeFabrics('auto', survey, filter).map(({ provider, device, endpoint, rank, reason }) => {
    const lock = rank === 0 && memlock.state !== 'good' ? `; but locked memory is ${memlock.detail}` : '';
    return { provider, device, endpoint, chosen: rank === 0, reason: reason + lock };
  });
  const absent = DEVICE_PROVIDERS.filter((name) => !ways.some(({ provider }) => provider === name));
  return [
    ...ways,
    ...absent.map((provider) => {
      const reason = absenceOf(provider, survey, devices, filter);
      return { provider, device: null, endpoint: null, chosen: false, reason };
    }),
  ];
}

/** Why libfabric offers nothing of a provider whose devices Volley would take. */
export function absenceOf(
  provider: string,
  survey: Pick<FabricSurvey, 'providers'>,
  devices: readonly FabricDevice[],
  filter: ProviderFilter,
): string {
  if (!filter.allows(provider)) return `FI_PROVIDER=${filter.text} excludes it`;
  const isThere = survey.providers.includes(provider);
  if (devices.length === 0) return isThere ? 'no device' : 'no device, or not in this libfabric';
  const down = devices
    .filter((device) => !isUp(device))
    .map(({ name, portStates }) => `${name} is ${portStates[0]}`);
  if (down.length === devices.length) return `port down: ${down.join(', ')}`;
  if (isThere) return 'none of the devices is its kind, or has an address';
  return provider === 'verbs'
    ? 'libfabric finds no device: is ibverbs-providers installed, rdma_ucm loaded, an address on the port?'
    : 'not in this libfabric, or none of the devices is its kind';
}

/** The rows of the table: provider, device, endpoint, use, why. One line for all devices of which the same is said. */
export function fabricRows({ ways }: FabricReport): string[][] {
  const lines = new Map<string, { way: FabricRow; devices: string[] }>();
  for (const way of ways) {
    const key = [way.provider, way.endpoint, way.reason].join('\n');
    const line = lines.get(key) ?? { way, devices: [] };
    if (way.device !== null) line.devices.push(way.device);
    lines.set(key, line);
  }
  return [...lines.values()].map(({ way, devices }) => {
    const { provider, endpoint, chosen, reason } = way;
    return [provider, devices.join(', ') || '-', endpoint ?? '-', chosen ? 'chosen' : 'no', reason];
  });
}

/** Whether this host can read and be read over a fabric. */
export function fabricTransportCheck({ libfabric, chosen }: FabricReport): Check {
  const name = 'transport fabric';
  if (chosen) return good(name, `nodes offer ${wayName(chosen)}; clients read over what a node offers`);
  const lack = libfabric === null ? 'no libfabric' : 'no fabric device that libfabric can use';
  return limited(name, `${lack}; nodes are read by local or tcp`, null);
}
