import ConsistentHash from 'consistent-hash';
import { xxh3Hex, xxh3Modulo } from './digest.js';

const RANGE = 16_777_213;
const POINTS_PER_NODE = 1000;
const PARTITIONS = 65_536;
const UNKNOWN = 0xffff;

/** Says which node holds a partition, by its index in a list. */
export interface PartitionMap {
  node(partition: number): number;
}

/** The places of a node on the ring that no earlier node has taken. */
function pointsOf(name: string, taken: Set<number>): number[] {
  const points: number[] = [];
  for (let i = 0; i < POINTS_PER_NODE; i++) {
    const point = xxh3Modulo(`${name}#${i}`, RANGE);
    if (taken.has(point)) continue;
    taken.add(point);
    points.push(point);
  }
  return points;
}

/** Tells which storage node a partition belongs to. The same node list gives the same answers everywhere. */
export class Ring implements PartitionMap {
  readonly #ring = new ConsistentHash<number>({ range: RANGE });
  readonly #owners = new Uint16Array(PARTITIONS).fill(UNKNOWN);

  /** @param names node names (`host:port`), sorted and without duplicates; at least one */
  constructor(names: readonly string[]) {
    const taken = new Set<number>();
    for (const [index, name] of names.entries()) this.#ring.add(index, 0, pointsOf(name, taken));
    if (names.length === 1) this.#owners.fill(0);
  }

  /** Index of the node that owns a partition. A look-up in the ring costs a microsecond, so answers are kept. */
  node(partition: number): number {
    const known = this.#owners[partition]!;
    if (known !== UNKNOWN) return known;
    const owner = this.#ring.get(keyOf(partition))!;
    this.#owners[partition] = owner;
    return owner;
  }

  /** Indexes of the first `count` (≥ 1) distinct nodes for a partition, the owner first: where replicas go. */
  nodes(partition: number, count: number): number[] {
    return this.#ring.get(keyOf(partition), count)!;
  }
}

function keyOf(partition: number): string {
  return xxh3Hex(`partition:${partition}`);
}
