/** Milliseconds that each failed attempt puts between the next ones of its address. */
const PENALTY_MS = 250;
/** Longest time that an attempt waits for its turn; beyond that it is turned away unseen. */
const WAIT_MS_MAX = 3000;
/** Addresses that are kept account of; further ones share one account. */
const ADDRESSES_MAX = 1024;
const SHARED = 'other addresses';

/**
 * Slows guessing down: an address that gave a wrong password has its next attempts examined one after another, four a
 * second, the right ones too, so that an early answer tells nothing. An address that has done nothing wrong never waits.
 */
export class Throttle {
  /** By address: when its next attempt may be examined. */
  private readonly dueMs = new Map<string, number>();

  constructor(private readonly nowMs: () => number) {}

  /** Milliseconds until an attempt of this address may be examined, or null when too many wait already. */
  admit(address: string): number | null {
    const now = this.nowMs();
    const account = this.accountOf(address);
    const due = this.dueMs.get(account);
    if (due === undefined || due <= now) {
      this.dueMs.delete(account);
      return 0;
    }
    if (due - now > WAIT_MS_MAX) return null;
    this.dueMs.set(account, due + PENALTY_MS);
    return due - now;
  }

  /** To be told of an attempt that failed. */
  failed(address: string): void {
    const now = this.nowMs();
    if (this.dueMs.size >= ADDRESSES_MAX) this.forgetDue(now);
    const account = this.accountOf(address);
    this.dueMs.set(account, Math.max(this.dueMs.get(account) ?? 0, now + PENALTY_MS));
  }

  private accountOf(address: string): string {
    const isKept = this.dueMs.has(address) || this.dueMs.size < ADDRESSES_MAX;
    return isKept ? address : SHARED;
  }

  private forgetDue(now: number): void {
    for (const [address, due] of this.dueMs) {
      if (due <= now) this.dueMs.delete(address);
    }
  }
}
