import { Counter, Gauge, Registry } from 'prom-client';
import type { Stat } from '../stats.js';
import { MEMCACHED_METRICS } from './memcached-metrics.js';
import type { Figures, MetricRow, Sample, Snapshot } from './metric.js';
import { VOLLEY_METRICS } from './volley-metrics.js';

/** Answers to `stats` and its topics. */
export interface StatsTopics {
  topic(name: string): Stat[] | null;
}

/** Everything that a node exports. */
export const METRICS: readonly MetricRow[] = [...MEMCACHED_METRICS, ...VOLLEY_METRICS];

/** A node's metrics in Prometheus' text format, computed from its statistics. */
export class Exposition {
  private readonly registry = new Registry();
  private readonly setters: ((snapshot: Snapshot) => void)[];

  constructor(private readonly stats: StatsTopics) {
    this.setters = METRICS.map((row) => this.define(row));
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  async text(): Promise<string> {
    const snapshot = this.snapshot();
    for (const set of this.setters) set(snapshot);
    return this.registry.metrics();
  }

  private define({ name, type, help, labels = [], samples }: MetricRow): (snapshot: Snapshot) => void {
    const settings = { name, help, labelNames: [...labels], registers: [this.registry] };
    const counter = type === 'counter' ? new Counter(settings) : null;
    const gauge = counter ? null : new Gauge(settings);
    const put = ({ value, labels: values = {} }: Sample) =>
      counter ? counter.inc(values, value) : gauge!.set(values, value);
    return (snapshot) => {
      (counter ?? gauge!).reset();
      samples(snapshot).forEach(put);
    };
  }

  private snapshot(): Snapshot {
    const read = (topic: string): Figures => Object.fromEntries(this.stats.topic(topic) ?? []);
    const slabs = read('slabs');
    return {
      general: { ...read(''), total_malloced: slabs.total_malloced! },
      settings: read('settings'),
      volley: read('volley'),
      classes: classesOf(slabs, read('items')),
    };
  }
}

/** `3:used_chunks` of `stats slabs` and `items:3:number` of `stats items`, by class. */
function classesOf(slabs: Figures, items: Figures): Snapshot['classes'] {
  const classes = new Map<string, Record<string, string>>();
  for (const [name, value] of [...Object.entries(slabs), ...Object.entries(items)]) {
    const [, slab, stat] = /^(?:items:)?(\d+):(\w+)$/.exec(name) ?? [];
    if (!slab || !stat) continue;
    const figures = classes.get(slab) ?? {};
    classes.set(slab, figures);
    figures[stat] = value;
  }
  return [...classes].map(([slab, figures]) => ({ slab, figures }));
}
