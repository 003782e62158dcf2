import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMadeOfDevices } from './fabric-providers.js';

/** A fabric device that the kernel knows. */
export interface FabricDevice {
  name: string;
  /** Ports, as the kernel tells of them, such as `ACTIVE` or `DOWN`; empty where it does not. */
  portStates: string[];
  /** The network interface that the first port is on, or '' where there is none (InfiniBand) or none is told. */
  networkInterface: string;
}

/** RDMA devices (verbs, EFA, Omni-Path) and Slingshot's. */
const CLASSES = ['infiniband', 'cxi'];

/** What fabrics could be made of on this host. Looks at /sys only, so libfabric need not be loaded to know that there is nothing. */
export function fabricDevices(root = '/sys/class'): FabricDevice[] {
  return CLASSES.flatMap((name) =>
    entries(join(root, name)).map((device) => describe(join(root, name), device)),
  );
}

/**
 * Why a fabric that is made of devices leads nowhere at an address, as far as the kernel tells, and what to do about it;
 * '' for a fabric that is not.
 * @param provider libfabric's name, such as `verbs`
 * @param address of this host, to listen on, or of another one, to reach
 */
export function deviceFault(provider: string, address: string, root?: string): string {
  if (!isMadeOfDevices(provider)) return '';
  const devices = fabricDevices(root);
  if (devices.length === 0) {
    return 'this host has no RDMA device; load its driver, or make a software one (rdma link add … type rxe)';
  }
  const down = devices.filter(({ portStates }) => portStates.length > 0 && !portStates.includes('ACTIVE'));
  if (down.length > 0) {
    const states = down.map((device) => `${placeOf(device)} is ${device.portStates[0]}`).join(', ');
    return `no active port leads to ${address}: ${states}; bring the link up (rdma link shows it)`;
  }
  const dashed = dashFault(devices);
  if (dashed) return `${dashed.fault}; rename it: ${dashed.remedy}`;
  const all = devices.map(placeOf).join(', ');
  return `the RDMA devices here (${all}) are up but not on a network with ${address}; take an address of theirs`;
}

/** Why libfabric may find no address for an RDMA device, by its name alone, and what to do about it; or null. */
export function dashFault(devices: readonly FabricDevice[]): { fault: string; remedy: string } | null {
  const dashed = devices.map(({ name }) => name).filter((name) => name.includes('-'));
  if (dashed.length === 0) return null;
  const renamings = dashed.map((name) => `rdma dev set ${name} name ${name.replaceAll('-', '_')}`);
  const fault = `libfabric 2.1 finds no address for a device with a dash in its name: ${dashed.join(', ')}`;
  return { fault, remedy: renamings.join('; ') };
}

function placeOf({ name, networkInterface }: FabricDevice): string {
  return networkInterface ? `${name} on ${networkInterface}` : name;
}

function describe(folder: string, name: string): FabricDevice {
  const ports = join(folder, name, 'ports');
  const numbers = entries(ports);
  const portStates = numbers.map((port) => portState(join(ports, port, 'state')));
  const interfaceFile = join(ports, numbers[0] ?? '', 'gid_attrs', 'ndevs', '0');
  return { name, portStates, networkInterface: firstLine(interfaceFile) };
}

/** `ACTIVE` of the kernel's `4: ACTIVE`. */
function portState(path: string): string {
  return firstLine(path).replace(/^\d+: /, '') || 'unknown';
}

function firstLine(path: string): string {
  try {
    return readFileSync(path, 'latin1').trim();
  } catch {
    return '';
  }
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
