import { VolleyError } from '../../src/errors.js';

/**
 * memcached's flags that are no settings of a Volley node by themselves. Those with a `setting` give one. Those with a `note`
 * are accepted: what they ask for is so anyway, or does not change what clients see. Those with a `refusal` ask for what the
 * node does not do.
 */
export interface ForeignFlag {
  flags: string;
  /** The setting that it gives: its name, and its value where the flag has none. */
  setting?: { name: string; text?: string };
  /** Null when it is accepted without a word. */
  note?: string | null;
  refusal?: string;
  /** Values with which it is accepted without a word. */
  allowed?: readonly string[];
}

export const FOREIGN_FLAGS: readonly ForeignFlag[] = [
  { flags: '-M, --disable-evictions', setting: { name: 'on-full', text: 'error' } },
  // Memory that outlives the process, on tmpfs or the like: what is in the file differs, what it is for does not.
  { flags: '-e, --memory-file <file>', setting: { name: 'region' } },
  {
    flags: '-L, --enable-largepages',
    note: 'hugepages are used anyway where there are enough (--hugepages)',
  },
  { flags: '-W, --disable-watch', note: 'there is no watch command' },
  { flags: '-U, --udp-port <port>', allowed: ['0'], refusal: 'UDP is not spoken; leave it out, or give 0' },
  {
    flags: '-B, --protocol <name>',
    allowed: ['auto', 'auto-negotiate'],
    refusal: 'the protocol is told by the first byte of each connection; leave it out',
  },
  { flags: '-R, --max-reqs-per-event <count>', note: 'connections take turns by bytes, not by requests' },
  { flags: '-f, --slab-growth-factor <factor>', note: 'size classes are made for chunks' },
  { flags: '-n, --slab-min-size <bytes>', note: 'size classes are made for chunks' },
  {
    flags: '-d, --daemon',
    refusal: 'a node stays in the foreground; run it by systemd, or with & behind it',
  },
  {
    flags: '-u, --user <user>',
    refusal:
      'a node does not change its user; run it as that user (User= of a systemd unit, or setpriv --reuid)',
  },
  { flags: '-A, --enable-shutdown', refusal: 'clients cannot end a node; send it SIGTERM' },
  {
    flags: '-r, --enable-coredumps',
    refusal: 'set it outside, with ulimit -c or LimitCORE= of a systemd unit',
  },
  {
    flags: '-k, --lock-memory',
    refusal:
      'the region is locked where a fabric reads it, and swapped else; turn swap off on storage machines',
  },
  { flags: '-C, --disable-cas', refusal: 'items always have a cas unique, at no cost' },
  { flags: '-S, --enable-sasl', refusal: 'give --auth-file, which both protocols authenticate against' },
  { flags: '-X, --disable-dumping', refusal: 'clients find images by lru_crawler metadump' },
  { flags: '-N, --napi_ids <count>', refusal: 'threads take turns in getting connections' },
];

/**
 * What is to be said of such a flag: a note, or null.
 * @param value of the flag; null for a switch
 * @throws VolleyError ERR_VOLLEY_USAGE when what it asks for is not done
 */
export function judgeForeignFlag(flag: ForeignFlag, value: string | null): string | null {
  const [name] = flag.flags.split(/[ ,]/);
  const isAllowed = value !== null && flag.allowed?.includes(value);
  if (isAllowed || isOwnUser(name!, value)) return null;
  const given = value === null ? name! : `${name} ${value}`;
  if (flag.refusal) throw new VolleyError('ERR_VOLLEY_USAGE', `${given} is not possible: ${flag.refusal}`);
  return flag.note ? `${given} has no effect: ${flag.note}` : null;
}

/** As in memcached, only root's -u asks for something. */
function isOwnUser(name: string, value: string | null): boolean {
  return name === '-u' && (process.geteuid!() !== 0 || value === 'root');
}
