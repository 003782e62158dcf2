import type { Flights } from './flights.js';

/** Slots that are freed within so many milliseconds rest as one batch. */
const BATCH_MS = 50;
/** Slots let go per call at most, so that a mass deletion does not hold up the event loop. */
const RELEASE_MAX = 32_768;
const CAPACITY_MIN = 1024;

interface Batch {
  generation: number;
  openedMs: number;
  slots: number;
}

/**
 * Where freed slots rest, oldest first: for a time, so that a one-sided reader that has just looked the address up still
 * finds the item's bytes, and for as long as a socket write that may refer to them is under way.
 */
export class Quarantine {
  /** Slots resting now. */
  size = 0;
  private ring = new Float64Array(CAPACITY_MIN);
  private head = 0;
  private readonly batches: Batch[] = [];

  constructor(
    private readonly flights: Flights,
    private readonly restMs: number,
  ) {}

  add(slot: number, nowMs: number): void {
    if (this.size === this.ring.length) this.grow();
    this.ring[(this.head + this.size) & (this.ring.length - 1)] = slot;
    this.size++;
    const batch = this.batches.at(-1);
    if (batch && batch.generation === this.flights.generation && nowMs - batch.openedMs < BATCH_MS) {
      batch.slots++;
      return;
    }
    if (batch && batch.generation === this.flights.generation) this.flights.advance();
    this.batches.push({ generation: this.flights.generation, openedMs: nowMs, slots: 1 });
  }

  private grow(): void {
    const grown = new Float64Array(2 * this.ring.length);
    const first = this.ring.subarray(this.head);
    grown.set(first);
    grown.set(this.ring.subarray(0, this.head), first.length);
    this.ring = grown;
    this.head = 0;
  }

  /** Hands every slot that has rested enough to `free`; returns how many. */
  release(nowMs: number, free: (slot: number) => void): number {
    return this.releaseIf((batch) => this.hasRested(batch, nowMs), RELEASE_MAX, free);
  }

  /** Hands the oldest slots, so many at most, to `free`, however short they have rested; returns how many. */
  releaseEarly(most: number, free: (slot: number) => void): number {
    return this.releaseIf(() => true, Math.min(most, RELEASE_MAX), free);
  }

  private releaseIf(mayGo: (batch: Batch) => boolean, most: number, free: (slot: number) => void): number {
    const newest = this.batches.at(-1);
    const isOpen = newest?.generation === this.flights.generation;
    if (isOpen && mayGo(newest!)) this.flights.advance();
    const oldestFlight = this.flights.oldest;
    let released = 0;
    while (released < most) {
      const batch = this.batches[0];
      if (!batch || batch.generation >= oldestFlight || !mayGo(batch)) break;
      const count = Math.min(batch.slots, most - released);
      for (let i = 0; i < count; i++) {
        free(this.ring[this.head]!);
        this.head = (this.head + 1) & (this.ring.length - 1);
      }
      this.size -= count;
      released += count;
      batch.slots -= count;
      if (batch.slots === 0) this.batches.shift();
    }
    return released;
  }

  /** Whether even the batch's newest slot has rested; a batch stays open for BATCH_MS at most. */
  private hasRested(batch: Batch, nowMs: number): boolean {
    return this.restMs === 0 || nowMs - batch.openedMs >= this.restMs + BATCH_MS;
  }
}
