/** Where a node takes its time from; a test hands in its own. */
export interface Clock {
  /**
   * The node's time, whole seconds: those since 1970 as the wall clock had them when the node started, and counted by a monotonic
   * clock from then on. Lifetimes, ages and the like go by it, so that none of them notices when the wall clock is set. It stands still
   * while the host is suspended, as memcached's does: nobody could read or renew an item meanwhile.
   */
  seconds(): number;
  /** Seconds since 1970 by the wall clock, whole: for times that a client gave as a date. It may go back. */
  wallSeconds(): number;
  /** Milliseconds of a clock that never goes back. */
  monotonicMs(): number;
  /** What clockFrom() makes the same clock of in another thread. */
  readonly base: number;
}

/** Milliseconds of the system's monotonic clock, which all threads share; performance.now() begins anew in each. */
function monotonicNowMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return 1000 * seconds + nanoseconds / 1e6;
}

/** What the node's time, in milliseconds, is ahead of the system's monotonic clock, for a node that starts now. */
function clockBase(): number {
  return Date.now() - monotonicNowMs();
}

/** The clock of a node that starts now, or of one that has a clock with this base in another thread. */
export function clockFrom(base: number = clockBase()): Clock {
  const offsetMs = base + monotonicNowMs() - performance.now();
  return {
    base,
    seconds: () => Math.floor((performance.now() + offsetMs) / 1000),
    wallSeconds: () => Math.floor(Date.now() / 1000),
    monotonicMs: () => performance.now(),
  };
}
