/** What a reader thread is started with. */
export interface ThreadSetup {
  /** Its number, from 0. */
  thread: number;
  threads: number;
  /** What Region.lend() told. */
  region: number;
  connectionsMax: number;
  board: SharedArrayBuffer;
  counts: SharedArrayBuffer;
  version: string;
  idleTimeoutMs: number;
  stallTimeoutMs: number;
  busyWaitUs: number;
  /** Of the node's clock; see clockFrom(). */
  clockBase: number;
}

/** What the main thread tells a reader thread. */
export type ToThread =
  /** Serve the client behind this descriptor, which is the thread's from now on. `index` is its place on the shared board. */
  | { does: 'serve'; id: number; index: number; descriptor: number }
  /** Answer what has been received and close all connections. */
  | { does: 'drain' };

/**
 * What a reader thread reports to the main thread. Clients go by their id, which no other client of the node ever gets: a place on
 * the board is given to the next client while messages about the last one are still under way.
 */
export type FromThread =
  | { event: 'ready' }
  /** @param reason why the thread closed it, or null when the client did */
  | { event: 'closed'; id: number; reason: string | null }
  /** The client wants what a reader thread does not do: the main thread goes on with these bytes. */
  | { event: 'moved'; id: number; descriptor: number; unread: Uint8Array }
  /** A client's commands met an exception that nobody thought of; its connection is closed. */
  | { event: 'fault'; reason: string }
  /** The item of this key is not what was stored. */
  | { event: 'damaged'; key: Uint8Array }
  /** All connections have been told all, after `drain`. */
  | { event: 'drained' };
