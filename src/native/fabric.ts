import type { RegionInfo } from './region.js';

/** A way that libfabric knows to reach others. */
export interface FabricWay {
  /** libfabric's name of the provider, such as `verbs` or `net`. */
  provider: string;
  /** libfabric's name of the device (domain), such as `mlx5_0`. */
  device: string;
  /** Connected endpoints, reliable datagrams, unreliable ones. */
  endpoint: 'msg' | 'rdm' | 'dgram';
  /** Whether it can read remote memory as Volley needs it. */
  reads: boolean;
  /** Whether it is at the address that was asked for, or routes to it. */
  here: boolean;
}

/** What libfabric has on this host. */
export interface FabricSurvey {
  /** libfabric's version, such as `1.17`. */
  version: string;
  /** Providers that are in it and that it may use (FI_PROVIDER). */
  providers: string[];
  ways: FabricWay[];
}

/** The way on this host's side that a region is read by. */
export type FabricUse = Pick<FabricWay, 'provider' | 'device'> & { endpoint: 'msg' | 'rdm' };

/** The same where it is known what the device bears. */
export interface FabricSide extends FabricUse {
  /** Reads that one connection may have outstanding (max_rd_atomic); null where the device does not tell. */
  readsOutstandingMax: number | null;
}

export interface FabricOfferOptions {
  provider: string;
  /** Default: the first that has the address. */
  device?: string;
  /** Default: `msg` where the provider has it. */
  endpoint?: 'msg' | 'rdm';
  /** IP address to listen on; empty is every address. */
  host: string;
  /** 0 takes a free one. */
  port: number;
  connectionsMax: number;
  /** Milliseconds that a connection keeps its place when all are taken and another client wants one. */
  placeHeldMs: number;
}

/** What became of those who wanted to connect over the fabric. */
export interface FabricCounts {
  /** Clients that are connected now. */
  connections: number;
  /** Refused because they did not show the token. */
  refusedToken: number;
  /** Refused because all places were taken. */
  refusedFull: number;
  /** Closed because another client wanted their place. */
  reclaimed: number;
}

/** How a region is read over a fabric. */
export interface FabricOffer {
  /** libfabric's name of the provider, such as `verbs` or `net`. */
  provider: string;
  /** The node's device. */
  device: string;
  endpoint: 'msg' | 'rdm';
  port: number;
  /** The raw address of an endpoint for reliable datagrams; empty where clients connect to the port. */
  address: Uint8Array;
  /** Added to an offset in the region to address it. */
  base: bigint;
  /** The registration's key: who has it can read the whole region. */
  key: bigint;
  /** 16 random bytes, others at each start: without them no connection is taken. */
  token: Uint8Array;
}

/** A region read over a fabric. */
export interface RemoteRegion {
  readonly info: RegionInfo;
  readonly way: FabricSide;
  /**
   * Copies the hashtable, so that chunks need no reading of buckets before them; unless it takes more than `bytesMax`.
   * @returns the bytes that were read for it
   */
  copyTable(bytesMax: number, timeoutMs: number): Promise<number>;
  close(): void;
}
