import { cacheDump } from './cache-dump.js';
import type { StatsRequest } from './protocol/commands.js';
import type { Replies } from './protocol/replies.js';
import type { SessionContext } from './session.js';

/** Carries out `stats` and its topics. */
export class StatsCommands {
  constructor(
    private readonly context: SessionContext,
    private readonly replies: Replies,
  ) {}

  carryOut(request: StatsRequest): void {
    const { topic } = request;
    if (topic === 'reset') this.reset(request);
    else if (topic.startsWith('detail')) this.detail(request, topic);
    else if (topic.startsWith('cachedump')) this.cacheDump(request, topic);
    else this.tell(request);
  }

  private reset(request: StatsRequest): void {
    this.context.stats.collect();
    this.context.counters.reset();
    this.context.store.resetCounts();
    this.replies.outcome(request, 'reset', 0);
  }

  private tell(request: StatsRequest): void {
    const stats = this.context.stats.topic(request.topic);
    if (stats) this.replies.stats(request, stats);
    else this.replies.outcome(request, 'no-topic', 0);
  }

  private detail(request: StatsRequest, topic: string): void {
    const { prefixes } = this.context.counters;
    if (topic === 'detail dump') {
      this.replies.lines(request, prefixes.lines());
    } else if (topic === 'detail on' || topic === 'detail off') {
      prefixes.enabled = topic === 'detail on';
      this.context.stats.notePrefixes(prefixes.enabled);
      this.replies.outcome(request, 'ok', 0);
    } else {
      this.replies.refused(request, 'stats-detail');
    }
  }

  private cacheDump(request: StatsRequest, topic: string): void {
    const [, sizeClass, limit] = /^cachedump (\d{1,9}) (\d{1,9})$/.exec(topic) ?? [];
    if (limit === undefined) this.replies.refused(request, 'stats-cachedump');
    else this.replies.lines(request, cacheDump(this.context.store, Number(sizeClass), Number(limit)));
  }
}
