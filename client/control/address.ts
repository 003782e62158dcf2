import type { NodeTls } from '../secure.js';

/** Where control connections lead to. */
export interface ControlAddress {
  /** IP addresses of the node's host, in the order in which they are tried; at least one. */
  readonly addresses: readonly string[];
  readonly port: number;
  /** Null for a plain connection. */
  readonly tls: NodeTls | null;
  /** The address that took the last connection, or null before there was one. Written by who connects. */
  reached: string | null;
}
