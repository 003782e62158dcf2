import { isVolleyError } from '../../src/errors.js';
import { native } from '../../src/native.js';
import { type Check, good, missing } from './check.js';

/** Which transports this host can use. @param fabric what was found of the fabrics */
export function checkTransports(fabric: Check): Check[] {
  return [
    good('transport local', "reads the memory of Volley nodes on this host; needs the node's socket"),
    fabric,
    good('transport tcp', 'reads from every node, Volley or memcached'),
  ];
}

/** What keeps the native addon, which all transports are in, from working; or null. */
export function checkAddon(): Check | null {
  try {
    native();
    return null;
  } catch (error) {
    if (!isVolleyError(error)) return missing('native addon', (error as Error).message, 'npm run setup');
    return missing('native addon', error.message, 'npm run setup');
  }
}
