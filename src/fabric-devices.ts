import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A fabric device that the kernel knows. */
export interface FabricDevice {
  name: string;
  /** Ports, as the kernel tells of them, such as `ACTIVE` or `DOWN`; empty where it does not. */
  portStates: string[];
}

/** RDMA devices (verbs, EFA, Omni-Path) and Slingshot's. */
const CLASSES = ['infiniband', 'cxi'];

/** What fabrics could be made of on this host. Looks at /sys only, so libfabric need not be loaded to know that there is nothing. */
export function fabricDevices(root = '/sys/class'): FabricDevice[] {
  return CLASSES.flatMap((name) =>
    entries(join(root, name)).map((device) => describe(join(root, name), device)),
  );
}

function describe(folder: string, name: string): FabricDevice {
  const ports = join(folder, name, 'ports');
  return { name, portStates: entries(ports).map((port) => portState(join(ports, port, 'state'))) };
}

/** `ACTIVE` of the kernel's `4: ACTIVE`. */
function portState(path: string): string {
  try {
    return readFileSync(path, 'latin1')
      .trim()
      .replace(/^\d+: /, '');
  } catch {
    return 'unknown';
  }
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
