import { isIPv6 } from 'node:net';
import { parseNodeName } from '../src/node-name.js';
import { addressText, type RecordedNode } from '../src/recorded-nodes.js';
import { type PartitionMap, Ring } from '../src/ring.js';
import type { ClusterNode } from './cluster-node.js';

/** Nodes that a message names before it says how many more there are. */
const NAMED_MAX = 4;
/** Node lists of images that are kept in mind. */
const LISTS_MAX = 64;

const UPLOAD_AGAIN = 'upload the image again';
const UNRECORDED =
  'or load it with the node list of its upload (Volley 0.1 stored it, which did not record that list)';

/** Where the chunks of an image lie: `node` tells the index of the client's node. */
export interface Placement extends PartitionMap {
  /** The image's node list and how the client's differs, in words: `a:1,b:1; this node list lacks b:1`. Null when it does not. */
  difference: string | null;
  /** What to do about a chunk that is not there. */
  lossHelp: string;
  /** Nodes of the image's list that are not in the client's. */
  lacking: readonly string[];
  /** Whether chunks lie by the client's list, once the nodes in `gone` are left out of the image's. */
  isOwn(gone: readonly string[]): boolean;
}

/**
 * Finds the nodes of a list that an image was stored with among those that a client is connected to: by name, by the
 * epoch of a node that has not been restarted since, or by address. So an image can be read that was stored with a list
 * that spelled a node otherwise, or had fewer nodes.
 */
export class Placements {
  /** Places by the client's own list. */
  readonly own: Placement;
  /** The same, for images that do not tell which list they were stored with. */
  readonly #unrecorded: Placement;
  readonly #nodes: readonly ClusterNode[];
  readonly #ring: Ring;
  readonly #known = new Map<string, Placement>();

  constructor(nodes: readonly ClusterNode[], ring: Ring) {
    this.#nodes = nodes;
    this.#ring = ring;
    const node = (partition: number) => ring.node(partition);
    this.own = { node, difference: null, lossHelp: UPLOAD_AGAIN, lacking: [], isOwn: () => true };
    const lossHelp = nodes.length === 1 ? UPLOAD_AGAIN : `${UPLOAD_AGAIN}, ${UNRECORDED}`;
    this.#unrecorded = { ...this.own, lossHelp };
  }

  /** @param recorded the image's node list, or null when it does not tell: then the client's is taken */
  of(recorded: readonly RecordedNode[] | null | undefined): Placement {
    if (!recorded) return this.#unrecorded;
    if (this.#isOwnList(recorded)) return this.own;
    const key = recorded.map(({ name, address, epoch }) => `${name} ${address} ${epoch}`).join(',');
    const placement = this.#known.get(key) ?? this.#compare(recorded);
    if (this.#known.size >= LISTS_MAX) this.#known.clear();
    this.#known.set(key, placement);
    return placement;
  }

  /** This client's node list, to be recorded with what it stores. */
  record(): RecordedNode[] {
    return this.#nodes.map(({ name, address, port, volley }) => {
      return { name, address: addressText(address, port), epoch: volley?.epoch ?? 0n };
    });
  }

  #isOwnList(recorded: readonly RecordedNode[]): boolean {
    return (
      recorded.length === this.#nodes.length &&
      recorded.every(({ name }, index) => name === this.#nodes[index]!.name)
    );
  }

  #compare(recorded: readonly RecordedNode[]): Placement {
    // A single node holds everything; it is the one that the image was stored on, whatever it is called, for it is there.
    if (recorded.length === 1 && this.#nodes.length === 1) return this.own;
    const indexes = recorded.map((node) => this.#find(node));
    const lacking = recorded.filter((_, i) => indexes[i] === -1).map(({ name }) => name);
    const added = this.#nodes.filter((_, i) => !indexes.includes(i)).map(({ name }) => name);
    const respelled = recorded.flatMap(({ name }, i) => {
      const now = this.#nodes[indexes[i]!]?.name;
      return now === undefined || now === name ? [] : [`${name} as ${now}`];
    });
    const ring = new Ring(recorded.map(({ name }) => name));
    const own = this.#ring;
    const faults = [
      ...(lacking.length > 0 ? [`lacks ${someOf(lacking)}`] : []),
      ...(added.length > 0 ? [`has ${someOf(added)} besides`] : []),
      ...(respelled.length > 0 ? [`spells ${someOf(respelled)}`] : []),
    ];
    const list = someOf(recorded.map(({ name }) => name));
    const difference = `${list}; this node list ${faults.join(', ')}`;
    return {
      // What a node held that is not here any more may have been stored again by this list.
      node: (partition) => {
        const index = indexes[ring.node(partition)]!;
        return index === -1 ? own.node(partition) : index;
      },
      difference,
      lossHelp: `it was stored with the node list ${difference}; load it with its own node list or upload it again`,
      lacking,
      isOwn: (gone) =>
        added.length === 0 && respelled.length === 0 && lacking.every((name) => gone.includes(name)),
    };
  }

  /** Index of the node that was recorded, or -1. */
  #find({ name, address, epoch }: RecordedNode): number {
    const nodes = this.#nodes;
    const byName = nodes.findIndex((node) => node.name === name);
    if (byName !== -1) return byName;
    const byEpoch = nodes.findIndex(({ volley }) => epoch !== 0n && volley?.epoch === epoch);
    if (byEpoch !== -1) return byEpoch;
    const wanted = onOneHost(comparable(address));
    return nodes.findIndex(({ addresses, port }) =>
      addresses.some((one) => onOneHost(comparable(addressText(one, port))) === wanted),
    );
  }
}

/**
 * The names of two entries of a node list that lead to one node, or null: a node of one epoch, or one address. Such a
 * list would place chunks on a node that is not there.
 */
export function sameNodeTwice(nodes: readonly ClusterNode[]): [string, string] | null {
  const seen = new Map<string, string>();
  for (const { name, address, port, volley } of nodes) {
    const identities = [comparable(addressText(address, port)), ...(volley ? [`epoch ${volley.epoch}`] : [])];
    for (const identity of identities) {
      const other = seen.get(identity);
      if (other !== undefined) return [other, name];
    }
    for (const identity of identities) seen.set(identity, name);
  }
  return null;
}

/** An address in a form in which equal ones are equal. */
function comparable(address: string): string {
  const { host, port } = parseNodeName(address);
  if (!isIPv6(host)) return `${host}:${port}`;
  const [plain, zone = ''] = host.split('%');
  const short = new URL(`http://[${plain}]`).hostname;
  const mapped = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(short);
  if (!mapped) return `${short}%${zone}:${port}`;
  const bytes = [mapped[1]!, mapped[2]!].flatMap((word) => {
    const number = Number.parseInt(word, 16);
    return [number >> 8, number & 0xff];
  });
  return `${bytes.join('.')}:${port}`;
}

/** Takes a host's two loopback addresses for one: `localhost` is either. */
function onOneHost(address: string): string {
  return address.replace(/^\[::1\]%:/, '127.0.0.1:');
}

function someOf(names: readonly string[]): string {
  const more = names.length - NAMED_MAX;
  return more > 0 ? `${names.slice(0, NAMED_MAX).join(',')} and ${more} more` : names.join(',');
}
