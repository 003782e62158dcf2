/**
 * Keeps count of the socket writes that still refer to arena memory. Time is cut into generations; a write belongs to
 * the generation in which it began. A slot that was freed in generation g may be reused when every write of a generation
 * up to g has ended, for no later write can have been given the freed item.
 */
export class Flights {
  private current = 0;
  /** Writes under way of the generation that they begin in now. */
  private count = 0;
  /** Those of earlier generations, by generation; ascending, for generations are entered in order. */
  private readonly earlier = new Map<number, number>();

  /** The generation that writes begin in now. */
  get generation(): number {
    return this.current;
  }

  /** Takes note of a write that begins; returns its generation, to be handed to end(). */
  begin(): number {
    this.count++;
    return this.current;
  }

  end(generation: number): void {
    if (generation === this.current) {
      this.count--;
      return;
    }
    const left = this.earlier.get(generation)! - 1;
    if (left === 0) this.earlier.delete(generation);
    else this.earlier.set(generation, left);
  }

  /** Begins a new generation. @param generation later than the one before */
  advance(generation: number = this.current + 1): void {
    if (this.count > 0) this.earlier.set(this.current, this.count);
    this.count = 0;
    this.current = generation;
  }

  /** The oldest generation with a write under way, or Infinity. */
  get oldest(): number {
    for (const generation of this.earlier.keys()) return generation;
    return this.count > 0 ? this.current : Number.POSITIVE_INFINITY;
  }
}
