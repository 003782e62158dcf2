/**
 * Keeps count of the socket writes that still refer to arena memory. Time is cut into generations; a write belongs to
 * the generation in which it began. A slot that was freed in generation g may be reused when every write of a generation
 * up to g has ended, for no later write can have been given the freed item.
 */
export class Flights {
  /** The generation that writes begin in now. */
  generation = 0;
  /** Writes under way by generation; ascending, for generations are entered in order. */
  private readonly counts = new Map<number, number>();

  /** Takes note of a write that begins; returns its generation, to be handed to end(). */
  begin(): number {
    this.counts.set(this.generation, (this.counts.get(this.generation) ?? 0) + 1);
    return this.generation;
  }

  end(generation: number): void {
    const left = this.counts.get(generation)! - 1;
    if (left === 0) this.counts.delete(generation);
    else this.counts.set(generation, left);
  }

  /** Begins a new generation. */
  advance(): void {
    this.generation++;
  }

  /** The oldest generation with a write under way, or Infinity. */
  get oldest(): number {
    for (const generation of this.counts.keys()) return generation;
    return Number.POSITIVE_INFINITY;
  }
}
