/** Exptimes so many seconds ahead are near: a store at a full node waits for the memory of such items. */
const NEAR_S = 4;

/**
 * When items expire that were given a short life, as `volley rm` does with chunks that nobody uses: their memory is
 * coming. Knows the first and the last of these times only; an item that has been given another exptime since makes
 * somebody look for it in vain.
 */
export class NearExpiry {
  private first = 0;
  private last = 0;

  /** Takes down the exptime (seconds since 1970, 0 = never) that an item has been given now. */
  note(exptime: number, nowSeconds: number): void {
    if (exptime <= nowSeconds || exptime - nowSeconds > NEAR_S) return;
    if (this.first === 0) this.first = exptime;
    this.last = Math.max(this.last, exptime);
  }

  /** Whether items are about to expire, or have and takeDue() has not told so yet. */
  get isPending(): boolean {
    return this.first !== 0;
  }

  /** Seconds until the last of the items has expired; 0 when all have. */
  ahead(nowSeconds: number): number {
    return Math.max(0, this.last - nowSeconds);
  }

  /** Whether items have expired since it was asked last. */
  takeDue(nowSeconds: number): boolean {
    if (this.first === 0 || this.first > nowSeconds) return false;
    this.first = this.last > nowSeconds ? this.last : 0;
    return true;
  }
}
