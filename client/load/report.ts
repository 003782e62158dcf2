import type { FabricSide } from '../../src/native.js';
import type { NodeTransport } from '../cluster-node.js';

/** What a load did at one node. */
export interface NodeLoadReport {
  name: string;
  transport: NodeTransport;
  transportReason: string;
  /** What it is read over when the transport is `fabric`, else null. */
  fabric: FabricSide | null;
  chunks: number;
  bytes: number;
  retries: number;
  checksumFailures: number;
  /** Bytes of the node's hashtable that were read over the fabric to find the chunks. */
  indexBytes: number;
  /** Chunks that each reading thread may have had in flight there; 0 when none was wanted of it. */
  window: number;
  /** Chunks that `local` or `fabric` could not bring and that came over tcp from the same node. */
  fallbackChunks: number;
  /** Why they did not come the first way, in words; '' when all did. */
  fallbackReason: string;
}

/** What a load did. */
export interface LoadReport {
  name: string;
  /** How the client's node list differs from that of the image's upload, in words, or null. */
  nodeListDifference: string | null;
  bytes: number;
  chunks: number;
  zeroChunks: number;
  /** Chunks, other than zeros, whose content appears more than once in the image. */
  sharedChunks: number;
  seconds: number;
  gbPerSecond: number;
  retries: number;
  checksumFailures: number;
  /** The load's time, divided as the reading threads' time was divided. */
  stages: { readMs: number; verifyMs: number };
  nodes: NodeLoadReport[];
}

/** How far a load is. */
export interface LoadProgress {
  /** Bytes read and verified; zeros do not count. */
  bytes: number;
  chunks: number;
  totalBytes: number;
}
