import { ClassCounters } from './class-counters.js';
import { OneSidedReads } from './one-sided-reads.js';
import { PrefixStats } from './prefix-stats.js';

/** What a node counts; the names are memcached's where memcached counts the same. */
export class Counters {
  currConnections = 0;
  totalConnections = 0;
  /** Exceptions that nobody thought of. */
  faults = 0;
  rejectedConnections = 0;
  /** Those of them for which the system had no descriptor left, or nearly none, or no memory. */
  rejectedForResources = 0;
  /** Connections that came from a reader thread to the main thread, for a command that only the latter carries out. */
  movedConnections = 0;
  /** Connections closed because they read too slowly, sent a command too slowly, or idled. */
  shedConnections = 0;
  /** Those of them that idled. */
  idleKicks = 0;
  cmdGet = 0;
  getHits = 0;
  getMisses = 0;
  cmdSet = 0;
  cmdFlush = 0;
  cmdTouch = 0;
  cmdMeta = 0;
  /** Items that clients told to have read one-sidedly. */
  usedItems = 0;
  touchHits = 0;
  touchMisses = 0;
  deleteHits = 0;
  deleteMisses = 0;
  incrHits = 0;
  incrMisses = 0;
  decrHits = 0;
  decrMisses = 0;
  casHits = 0;
  casMisses = 0;
  casBadval = 0;
  bytesRead = 0;
  bytesWritten = 0;
  storeTooLarge = 0;
  storeNoMemory = 0;
  /** Attempts to authenticate, and those of them that failed. */
  authCmds = 0;
  authErrors = 0;
  /** TLS handshakes that failed. */
  tlsErrors = 0;
  /** Commands refused because the user may not give them. */
  deniedCommands = 0;
  /** What clients told to have read one-sidedly. */
  readonly oneSidedReads = new OneSidedReads();
  /** Of `stats slabs`. */
  readonly classes = new ClassCounters();

  /** @param prefixes of `stats detail` */
  constructor(readonly prefixes = new PrefixStats()) {}

  /** Counts a store that failed for lack of memory. @param classId the size class that it wanted a slot of */
  noteNoMemory(classId: number): void {
    this.storeNoMemory++;
    this.classes.add('outofmemory', classId);
  }

  /** Zeroes what `stats reset` zeroes: all but the connections that are open. */
  reset(): void {
    const { currConnections, prefixes, classes } = this;
    classes.clear();
    prefixes.clear();
    Object.assign(this, new Counters(), { currConnections, prefixes, classes });
  }
}
