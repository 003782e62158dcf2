import { uptime } from 'node:os';

/**
 * How long the second listing may take. The time since the host was booted is looked at, too: performance.now() stands
 * still while this host is suspended, and the nodes' time does not. Neither notices when the wall clock is set.
 */
export class SentenceDeadline {
  readonly #endMs: number;
  readonly #endUptimeMs: number;

  constructor(milliseconds: number) {
    this.#endMs = performance.now() + milliseconds;
    this.#endUptimeMs = 1000 * uptime() + milliseconds;
  }

  get hasPassed(): boolean {
    return performance.now() >= this.#endMs || 1000 * uptime() >= this.#endUptimeMs;
  }
}
