/** What a Volley node's `stats volley` tells, as far as a client needs it. The names are told in docs/protocol.md. */
export interface VolleyStats {
  layoutVersion: number;
  /** Another one at each start of the node. */
  epoch: bigint;
  /** Tells whether the node runs on this host. */
  bootId: string;
  /** The unix socket that hands out the region, or null when the node does not. */
  localPath: string | null;
  /** Everything that the node told, by name. */
  all: Record<string, string>;
}

/** Longest path that a unix socket can have. */
const SOCKET_PATH_MAX = 107;

/** Reads the section, or null when it is not what a Volley node tells (a stock memcached, a version of the future). */
export function parseVolleyStats(all: Record<string, string> | null): VolleyStats | null {
  if (!all || !/^\d{1,9}$/.test(all.layout_version ?? '') || !/^[0-9a-f]{16}$/.test(all.epoch ?? ''))
    return null;
  const path = all.local_path ?? '';
  const usable = path.startsWith('/') && Buffer.byteLength(path) <= SOCKET_PATH_MAX;
  return {
    layoutVersion: Number(all.layout_version),
    epoch: BigInt(`0x${all.epoch}`),
    bootId: all.boot_id ?? '',
    localPath: usable ? path : null,
    all,
  };
}
