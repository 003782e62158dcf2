import type { FabricSide, LocalRegion, RemoteRegion } from '../src/native.js';
import type { ControlChannel } from './control.js';
import type { NodeAddress } from './text-connection.js';
import type { VolleyStats } from './volley-stats.js';

export type NodeTransport = 'local' | 'fabric' | 'tcp';

/** A storage node as a connected client sees it. */
export interface ClusterNode extends NodeAddress {
  /** All IP addresses of its host, in the order in which they are tried; `address` is the one that took the connection. */
  addresses: readonly string[];
  /** What only Volley's nodes tell; null for a stock memcached. */
  volley: VolleyStats | null;
  /** The server's version. */
  version: string;
  /** The memory that it was given for items (-m). */
  limitBytes: number;
  /** How this client reads chunks from it. */
  transport: NodeTransport;
  /** Why that transport, in words. */
  transportReason: string;
  /** This host's side of the fabric that it is read over, or null. */
  fabric: FabricSide | null;
  /** The node's region, mapped when the transport is `local`, connected to when it is `fabric`. */
  region: LocalRegion | RemoteRegion | null;
  control: ControlChannel;
}
