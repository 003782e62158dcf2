/** Where a node takes its time from; a test hands in its own. */
export interface Clock {
  /** Seconds since 1970, whole. */
  seconds(): number;
  /** Milliseconds of a clock that never goes back. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  seconds: () => Math.floor(Date.now() / 1000),
  monotonicMs: () => performance.now(),
};
