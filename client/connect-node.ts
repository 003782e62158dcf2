import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Credentials } from '../src/credentials.js';
import type { NodeName } from '../src/node-name.js';
import { chooseTransport, type WantedTransport } from './choose-transport.js';
import type { ClusterNode } from './cluster-node.js';
import { ControlChannel } from './control.js';
import { withDeadline } from './deadline.js';
import { nodeDown, nodeProtocol, nodeTimeout } from './node-errors.js';
import { parseVolleyStats, type VolleyStats } from './volley-stats.js';

/** What a node answers when it is asked who it is. */
export interface NodeProbe {
  address: string;
  control: ControlChannel;
  version: string;
  /** The general section of its statistics. */
  stats: Record<string, string>;
  volley: VolleyStats | null;
}

/**
 * Resolves a node's host and asks for its statistics. The caller closes `control`.
 * @param credentials who to be to it, if it asks
 * @throws VolleyError ERR_VOLLEY_NODE_DOWN, _TIMEOUT, _AUTH or _PROTOCOL that names the node
 */
export async function probeNode(
  node: NodeName,
  credentials: Credentials | null,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<NodeProbe> {
  const address = await resolve(node, timeoutMs, signal);
  const control = new ControlChannel(node.name, address, node.port, timeoutMs, credentials);
  try {
    const [stats, volley] = await Promise.all([control.stats('', signal), control.stats('volley', signal)]);
    if (!stats?.version) throw nodeProtocol(node.name, 'stats', 'no version');
    return { address, control, version: stats.version, stats, volley: parseVolleyStats(volley) };
  } catch (error) {
    control.close();
    throw error;
  }
}

/** How to connect to a node; the fields of ConnectOptions. */
export interface NodeWishes {
  transport: WantedTransport;
  fabric: string;
  credentials: Credentials | null;
  timeoutMs: number;
  signal?: AbortSignal;
}

/** Connects to one node and chooses its transport. @throws VolleyError that names the node */
export async function connectNode(
  node: NodeName,
  { transport: wanted, fabric: wantedFabric, credentials, timeoutMs, signal }: NodeWishes,
): Promise<{ node: ClusterNode; connectMs: number; tablesMs: number }> {
  const startMs = performance.now();
  const { address, control, version, volley } = await probeNode(node, credentials, timeoutMs, signal);
  const connectedMs = performance.now();
  try {
    const { name, port } = node;
    const question = { node: name, address, wanted, fabric: wantedFabric, volley, timeoutMs };
    const { transport, reason, region, fabric } = await chooseTransport(question);
    // Only nodes that ask are told: one that does not would take the password for an item.
    const told = volley?.authentication === 'password' ? credentials : null;
    return {
      node: {
        name,
        address,
        port,
        credentials: told,
        volley,
        version,
        transport,
        transportReason: reason,
        region,
        fabric,
        control,
      },
      connectMs: connectedMs - startMs,
      tablesMs: performance.now() - connectedMs,
    };
  } catch (error) {
    control.close();
    throw error;
  }
}

async function resolve(node: NodeName, timeoutMs: number, signal?: AbortSignal): Promise<string> {
  if (isIP(node.host)) return node.host;
  const found = lookup(node.host).catch((error: Error) => {
    throw nodeDown(node.name, error);
  });
  const onTimeout = () => nodeTimeout(node.name, 'look-up of its host name', timeoutMs);
  return (await withDeadline(found, timeoutMs, signal, onTimeout)).address;
}
