import type { VolleyError } from '../../src/errors.js';

/** A value as it was read, and what identifies that version of it. */
export interface ReadItem {
  value: Buffer;
  /** The node's CAS value; 0 where the node keeps none (memcached -C). */
  cas: bigint;
}

/** What became of an item that was to be deleted as long as it was still the one that had been read. */
export type ConditionalDelete = 'deleted' | 'absent' | 'changed';

/**
 * One of memcached's protocols on one connection, which is made when it is first needed. After a failure of the
 * connection, and after discard(), the next request makes a new one. All may throw a VolleyError that names the node.
 */
export interface ControlProtocol {
  read(key: string): Promise<ReadItem | null>;
  /** False when the key is there (`add`) or is not there (`replace`). */
  store(mode: 'add' | 'replace', key: string, value: Buffer): Promise<boolean>;
  /** Deletes the item that has this CAS value, or any if it is 0. */
  delete(key: string, cas: bigint): Promise<ConditionalDelete>;
  /** A section of the statistics, or null when the node does not have that section. */
  stats(section: string): Promise<Record<string, string> | null>;
  /** The error for a request that was not answered in time: it tells how far the connection had come. */
  timedOut(what: string, timeoutMs: number): VolleyError;
  /** Ends the connection; what is outstanding fails with `reason`. */
  discard(reason: Error): void;
}

/** A node that does not answer in the binary protocol: it said something else, hung up, or said nothing. */
export class NotBinaryError extends Error {
  /** @param answer what it said, or '' */
  constructor(
    message: string,
    readonly answer: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}
