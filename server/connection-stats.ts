import { formatAddress } from './listen-address.js';
import type { Stat } from './stats.js';

/** Connections that are told of, at most: the answer must not outgrow what a client reads in a moment. */
const CONNECTIONS_MAX = 4096;

/** What is told of a connection. */
export interface ConnectionFacts {
  id: number;
  /** Where the client is, or null on a unix socket. */
  remote: string | null;
  /** Where it connected to. */
  local: string;
  /** One of memcached's names of states. */
  state: string;
  silentSeconds: number;
}

/** The answer to `stats conns`, with memcached's names: the listener first, then the connections. */
export function connectionStats(
  connections: Iterable<ConnectionFacts>,
  listener: { address: string; port: number; socketPath: string | null; uptimeSeconds: number },
): Stat[] {
  const { address, port, socketPath } = listener;
  const where = socketPath === null ? `tcp:${formatAddress(address, port)}` : `unix:${socketPath}`;
  const stats = facts(0, where, null, 'conn_listening', listener.uptimeSeconds);
  let told = 0;
  for (const { id, remote, local, state, silentSeconds } of connections) {
    if (told++ === CONNECTIONS_MAX) break;
    const isUnix = remote === null;
    const from = isUnix ? where : `tcp:${remote}`;
    stats.push(...facts(id, from, isUnix ? where : `tcp:${local}`, state, silentSeconds));
  }
  return stats;
}

function facts(
  id: number,
  address: string,
  listening: string | null,
  state: string,
  seconds: number,
): Stat[] {
  const stats: Stat[] = [[`${id}:addr`, address]];
  if (listening !== null) stats.push([`${id}:listen_addr`, listening]);
  stats.push([`${id}:state`, state], [`${id}:secs_since_last_cmd`, String(seconds)]);
  return stats;
}
