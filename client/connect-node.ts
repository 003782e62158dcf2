import type { Credentials } from '../src/credentials.js';
import type { VolleyError } from '../src/errors.js';
import type { NodeName } from '../src/node-name.js';
import { chooseTransport, type WantedTransport } from './choose-transport.js';
import type { ClusterNode } from './cluster-node.js';
import type { ControlAddress } from './control/address.js';
import { ControlChannel } from './control.js';
import { withDeadline } from './deadline.js';
import { nodeProtocol, nodeWantsTls } from './node-errors.js';
import { resolveHost } from './resolve.js';
import { type ClientTls, type NodeTls, speaksTls } from './secure.js';
import { parseVolleyStats, type VolleyStats } from './volley-stats.js';

/** Said where chunks come by a slower way than tcp is elsewhere. */
const OVER_TLS = 'chunks come over TLS, which the native reader does not speak';

/** What a node answers when it is asked who it is. */
export interface NodeProbe {
  /** The IP address that took the connection. */
  address: string;
  /** All IP addresses of its host, in the order in which they are tried. */
  addresses: readonly string[];
  /** How it is spoken to by TLS, or null for plainly. */
  tls: NodeTls | null;
  control: ControlChannel;
  version: string;
  /** The general section of its statistics. */
  stats: Record<string, string>;
  volley: VolleyStats | null;
}

/**
 * Resolves a node's host and asks for its statistics, all within `timeoutMs`. The caller closes `control`.
 * @param credentials who to be to it, if it asks
 * @param client how to speak TLS to it, or null to speak plainly
 * @throws VolleyError ERR_VOLLEY_NODE_DOWN, _NODE_BUSY, _TIMEOUT, _AUTH, _TLS or _PROTOCOL that names the node
 */
export async function probeNode(
  node: NodeName,
  credentials: Credentials | null,
  client: ClientTls | null,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<NodeProbe> {
  const { name, host, port } = node;
  const endMs = performance.now() + timeoutMs;
  const leftMs = () => Math.max(1, endMs - performance.now());
  const addresses = await resolveHost(node, timeoutMs, signal);
  const tls = client && { context: client.context, serverName: client.serverName ?? host };
  const place: ControlAddress = { addresses, port, tls, reached: null };
  const control = new ControlChannel(name, place, timeoutMs, credentials);
  try {
    const asked = Promise.all([control.stats('', signal), control.stats('volley', signal)]);
    const [stats, volley] = await withDeadline(asked, leftMs(), signal, () => control.timedOut('stats'));
    const version = stats?.version ?? (await control.version(signal));
    if (!version) throw nodeProtocol(name, 'stats', 'no version');
    const address = place.reached ?? addresses[0]!;
    return {
      address,
      addresses,
      tls,
      control,
      version,
      stats: stats ?? {},
      volley: parseVolleyStats(volley),
    };
  } catch (error) {
    control.close();
    const { reached } = place;
    if (!tls && reached && hasHungUp(error) && (await speaksTls(reached, port, leftMs())))
      throw nodeWantsTls(name);
    throw error;
  }
}

/** Whether the node took the connection and ended it. */
function hasHungUp(error: unknown): boolean {
  const { code, cause } = error as VolleyError;
  return code === 'ERR_VOLLEY_NODE_DOWN' && (cause as NodeJS.ErrnoException)?.code !== 'ECONNREFUSED';
}

/** How to connect to a node; the fields of ConnectOptions. */
export interface NodeWishes {
  transport: WantedTransport;
  fabric: string;
  credentials: Credentials | null;
  tls: ClientTls | null;
  timeoutMs: number;
  signal?: AbortSignal;
}

/** Connects to one node and chooses its transport. @throws VolleyError that names the node */
export async function connectNode(
  node: NodeName,
  { transport: wanted, fabric: wantedFabric, credentials, tls: client, timeoutMs, signal }: NodeWishes,
): Promise<{ node: ClusterNode; connectMs: number; tablesMs: number }> {
  const startMs = performance.now();
  const probe = await probeNode(node, credentials, client, timeoutMs, signal);
  const { address, addresses, tls, control, version, stats, volley } = probe;
  const connectedMs = performance.now();
  try {
    const { name, port } = node;
    const question = { node: name, address, addresses, wanted, fabric: wantedFabric, volley, timeoutMs };
    const { transport, reason, region, fabric } = await chooseTransport(question);
    // Only nodes that ask are told: one that does not would take the password for an item.
    const asks = volley?.authentication === 'password' || control.isAskedInText;
    const told = asks ? credentials : null;
    return {
      node: {
        name,
        address,
        addresses,
        port,
        credentials: told,
        tls,
        volley,
        version,
        limitBytes: Number(stats.limit_maxbytes ?? 0),
        transport,
        transportReason: tls && transport === 'tcp' ? `${reason}; ${OVER_TLS}` : reason,
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
