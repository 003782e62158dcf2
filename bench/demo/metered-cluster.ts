import type { Cluster, ClusterNode, LoadOptions, LoadReport, Manifest } from '../../client/index.js';

/** A cluster for boot() that notes how much processor time each node spends while chunks are read. */
export class MeteredCluster implements Pick<Cluster, 'open' | 'load' | 'read' | 'stages'> {
  readonly #cluster: Cluster;
  #before: Map<string, number> | undefined;
  #after = new Map<string, number>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  get stages(): Cluster['stages'] {
    return this.#cluster.stages;
  }

  open(name: string, signal?: AbortSignal): Promise<Manifest> {
    return this.#cluster.open(name, signal);
  }

  read(image: Manifest, offset: number, length: number): Promise<Buffer> {
    return this.#cluster.read(image, offset, length);
  }

  async load(image: Manifest, options: LoadOptions): Promise<LoadReport> {
    this.#before ??= await this.#processorSeconds();
    const report = await this.#cluster.load(image, options);
    this.#after = await this.#processorSeconds();
    return report;
  }

  /** Seconds (user and system) from before the first load to after the last, by node. */
  spent(): Map<string, number> {
    return new Map(
      [...this.#after].map(([name, after]) => [name, after - (this.#before?.get(name) ?? after)]),
    );
  }

  async #processorSeconds(): Promise<Map<string, number>> {
    const ask = async ({ name, control }: ClusterNode): Promise<[string, number]> => {
      const stats = await control.stats('');
      return [name, Number(stats?.rusage_user ?? 0) + Number(stats?.rusage_system ?? 0)];
    };
    return new Map(await Promise.all(this.#cluster.nodes.map(ask)));
  }
}
