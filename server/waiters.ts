import type { Slots } from './slots.js';

const POLL_MS = 50;

/** Somebody who needs a slot when there is none but some are resting. */
export interface Waiter {
  /** Tries again; leaves the queue when it need not wait any longer. */
  retry(): void;
}

/** Those who wait for slots to come out of quarantine, first come first served. */
export class Waiters {
  private readonly waiters = new Set<Waiter>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly slots: Slots) {}

  add(waiter: Waiter): void {
    this.waiters.add(waiter);
    this.timer ??= setInterval(() => this.poll(), POLL_MS);
  }

  delete(waiter: Waiter): void {
    this.waiters.delete(waiter);
    if (this.waiters.size === 0) this.stop();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private poll(): void {
    this.slots.release();
    for (const waiter of [...this.waiters]) waiter.retry();
  }
}
