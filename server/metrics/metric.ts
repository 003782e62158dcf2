/** Statistics by name, of one topic. */
export type Figures = Readonly<Record<string, string>>;

/** What metrics are computed from: topics of `stats`, as any client gets them. */
export interface Snapshot {
  general: Figures;
  settings: Figures;
  volley: Figures;
  /** By number of the size class, from `stats items` and `stats slabs`. */
  classes: readonly { slab: string; figures: Figures }[];
}

/** One value of a metric, with its labels' values. */
export interface Sample {
  value: number;
  labels?: Readonly<Record<string, string>>;
}

/** One metric that a node exports. */
export interface MetricRow {
  name: string;
  type: 'counter' | 'gauge';
  help: string;
  labels?: readonly string[];
  samples: (snapshot: Snapshot) => Sample[];
}

/** A metric that is one figure of a topic. */
export function figure(
  type: MetricRow['type'],
  name: string,
  help: string,
  topic: 'general' | 'settings' | 'volley',
  stat: string,
): MetricRow {
  return { name, type, help, samples: (snapshot) => samplesOf([[snapshot[topic][stat], {}]]) };
}

/** A metric that is one figure of each size class. */
export function classFigure(type: MetricRow['type'], name: string, help: string, stat: string): MetricRow {
  return {
    name,
    type,
    help,
    labels: ['slab'],
    samples: ({ classes }) => samplesOf(classes.map(({ slab, figures }) => [figures[stat], { slab }])),
  };
}

/** Samples of the figures that are there. */
export function samplesOf(
  figures: readonly (readonly [text: string | undefined, labels: Readonly<Record<string, string>>])[],
): Sample[] {
  return figures.flatMap(([text, labels]) => (text === undefined ? [] : [{ value: Number(text), labels }]));
}
