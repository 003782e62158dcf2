import type { ClassCounters } from './class-counters.js';
import { NO_EVICTIONS } from './evictor.js';
import type { Slots } from './slots.js';
import type { Store } from './store.js';

type Figures = Record<string, number>;

/** What is told by size class: `stats items` and `stats slabs`, by memcached's names. Classes count from 1. */
export class ClassStats {
  constructor(
    private readonly store: Store,
    private readonly slots: Slots,
    private readonly counters: ClassCounters,
  ) {}

  /** Of the classes that have items. */
  items(): Figures {
    const { store, counters } = this;
    const figures: Figures = {};
    this.slots.use().forEach(({ usedSlots }, i) => {
      if (usedSlots === 0) return;
      const counts = store.evictor?.ofClass(i + 1) ?? NO_EVICTIONS;
      this.put(figures, `items:${i + 1}`, {
        number: usedSlots,
        evicted: counts.evicted,
        evicted_nonzero: counts.evictedNonzero,
        evicted_time: counts.evictedTime,
        evicted_unfetched: counts.evictedUnfetched,
        evicted_active: counts.evictedActive,
        outofmemory: counters.of('outofmemory', i + 1),
        mem_requested: store.tally.bytesOf(i + 1),
      });
    });
    return figures;
  }

  /** Of the classes that have pages; then of all. @param pageBytes of the arena */
  slabs(pageBytes: number): Figures {
    const use = this.slots.use();
    const figures: Figures = {};
    use.forEach(({ slotBytes, slotsPerPage, pages, usedSlots }, i) => {
      if (pages === 0) return;
      this.put(figures, `${i + 1}`, {
        chunk_size: slotBytes,
        chunks_per_page: slotsPerPage,
        total_pages: pages,
        total_chunks: pages * slotsPerPage,
        used_chunks: usedSlots,
        free_chunks: pages * slotsPerPage - usedSlots,
        ...Object.fromEntries(this.counters.commandsOf(i + 1)),
      });
    });
    const pages = use.reduce((sum, each) => sum + each.pages, 0);
    figures.active_slabs = use.filter((each) => each.pages > 0).length;
    figures.total_malloced = pages * pageBytes;
    return figures;
  }

  private put(figures: Figures, prefix: string, facts: Figures): void {
    for (const [name, fact] of Object.entries(facts)) figures[`${prefix}:${name}`] = fact;
  }
}
