import type { DeadNode, LiveNode } from '../../client/index.js';
import { inspectNodes } from '../../client/index.js';
import { chooseCredentials, chooseNodes } from '../../src/config.js';
import type { TlsOptions } from '../../src/tls-settings.js';
import { type Check, good, limited, missing } from './check.js';

/** One check per storage node of the list in use. Nobody has to run the default node. */
export async function checkNodes(
  option: string | undefined,
  timeoutMs: number,
  tls: TlsOptions | null,
): Promise<Check[]> {
  const { nodes, origin } = chooseNodes(option);
  const found = await inspectNodes(nodes, timeoutMs, undefined, chooseCredentials(), tls);
  return found.map((node) => (node.error === null ? liveCheck(node) : deadCheck(node, origin === 'default')));
}

function liveCheck({ name, kind, version, transport, transportReason, memoryNote }: LiveNode): Check {
  return good(
    `node ${name}`,
    `${kind} ${version}, read by ${transport} (${transportReason})${memoryNote ? `; ${memoryNote}` : ''}`,
  );
}

function deadCheck({ name, error }: DeadNode, isDefault: boolean): Check {
  if (isDefault)
    return limited(`node ${name}`, 'no node is configured, and none runs here', 'volley node -m 1G');
  if (error.code === 'ERR_VOLLEY_AUTH')
    return missing(`node ${name}`, error.message, 'set VOLLEY_USER and VOLLEY_PASSWORD');
  if (error.code === 'ERR_VOLLEY_NODE_BUSY')
    return limited(`node ${name}`, error.message, 'start it with a higher -c, or end clients');
  return missing(`node ${name}`, error.message, 'start it: volley node, or memcached -I 2m');
}
