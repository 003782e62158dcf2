import { isVolleyError } from '../../src/errors.js';
import { native } from '../../src/native.js';
import { type Check, good, limited, missing } from './check.js';

/** Which transports this host can use, given what was found of the parts. */
export function checkTransports(libfabric: Check, devices: Check): Check[] {
  const addon = checkAddon();
  if (addon) return [addon];
  return [
    good('transport local', "reads the memory of Volley nodes on this host; needs the node's socket"),
    checkFabric(libfabric, devices),
    good('transport tcp', 'reads from every node, Volley or memcached'),
  ];
}

/** What keeps the native addon, which all transports are in, from working; or null. */
function checkAddon(): Check | null {
  try {
    native();
    return null;
  } catch (error) {
    if (!isVolleyError(error)) return missing('native addon', (error as Error).message, 'npm run setup');
    return missing('native addon', error.message, 'npm run setup');
  }
}

function checkFabric(libfabric: Check, devices: Check): Check {
  if (libfabric.state === 'good' && devices.state === 'good') {
    return good('transport fabric', 'reads Volley nodes that offer verbs');
  }
  const absent = [libfabric, devices].filter(({ state }) => state !== 'good').map(({ name }) => `no ${name}`);
  return limited('transport fabric', `${absent.join(', ')}; nodes are read by local or tcp`, null);
}
