import { VolleyError } from '../../src/errors.js';

/** What becomes of one of memcached's `-o` options. */
interface Extended {
  /** The setting that it is, and how its values are written there. */
  setting?: string;
  values?: Readonly<Record<string, string>>;
  note?: string | null;
  refusal?: string;
}

const NO_LISTS = { note: 'there are no LRU lists that would have to be kept' };
const OWN_CLASSES = { note: 'size classes are made for chunks' };
const OWN_TABLE = { note: 'the hashtable is made for one-sided reads, and grows by itself (--table-items)' };
const OWN_BUFFERS = { note: 'buffers are bounded for each connection' };
const NO_PROXY = { refusal: 'a node is no proxy; clients find the node of a key themselves' };
const NO_WATCH = { note: 'there is no watch command' };
const NO_EXTSTORE = { refusal: 'items are kept in memory only' };

/** All names that memcached 1.6.18 knows; those that begin with ext_ are NO_EXTSTORE. */
export const EXTENDED: Readonly<Record<string, Extended>> = {
  idle_timeout: { setting: 'idle-timeout' },
  ssl_chain_cert: { setting: 'tls-cert' },
  ssl_key: { setting: 'tls-key' },
  ssl_ca_cert: { setting: 'tls-ca' },
  ssl_ciphers: { setting: 'tls-ciphers' },
  ssl_verify_mode: {
    setting: 'tls-verify',
    values: { 0: 'none', 1: 'request', 2: 'require', 3: 'require' },
  },
  ssl_min_version: { setting: 'tls-min-version', values: { 2: '1.2', 3: '1.3' } },
  ssl_keyformat: { refusal: 'keys are PEM; leave it out' },
  ssl_wbuf_size: { note: 'buffers are sized by OpenSSL' },
  ssl_session_cache: { note: 'TLS sessions are resumed by tickets' },
  ssl_kernel_tls: { refusal: 'TLS is done by OpenSSL' },
  maxconns_fast: { note: null },
  no_maxconns_fast: { refusal: 'clients beyond the limit are always turned away at once' },
  modern: { note: null },
  no_modern: { note: 'there is one set of defaults' },
  hashpower: OWN_TABLE,
  no_hashexpand: OWN_TABLE,
  hash_algorithm: OWN_TABLE,
  no_lru_crawler: { note: 'expired items are always looked for' },
  lru_crawler: { note: null },
  lru_crawler_sleep: { note: 'expired items are looked for when they are due' },
  lru_crawler_tocrawl: { note: 'expired items are looked for when they are due' },
  lru_maintainer: NO_LISTS,
  no_lru_maintainer: NO_LISTS,
  hot_lru_pct: NO_LISTS,
  warm_lru_pct: NO_LISTS,
  hot_max_factor: NO_LISTS,
  warm_max_factor: NO_LISTS,
  temporary_ttl: NO_LISTS,
  tail_repair_time: NO_LISTS,
  slab_chunk_max: OWN_CLASSES,
  slab_reassign: OWN_CLASSES,
  slab_automove: OWN_CLASSES,
  slab_automove_ratio: OWN_CLASSES,
  slab_automove_window: OWN_CLASSES,
  slab_automove_freeratio: OWN_CLASSES,
  slab_sizes: OWN_CLASSES,
  no_slab_reassign: OWN_CLASSES,
  no_slab_automove: OWN_CLASSES,
  no_chunked_items: { note: null },
  read_buf_mem_limit: OWN_BUFFERS,
  resp_obj_mem_limit: OWN_BUFFERS,
  inline_ascii_resp: { note: null },
  no_inline_ascii_resp: { note: null },
  worker_logbuf_size: NO_WATCH,
  watcher_logbuf_size: NO_WATCH,
  track_sizes: { note: 'sizes are not tracked' },
  drop_privileges: { refusal: 'what a node may do is limited from outside; see volley-node.service' },
  no_drop_privileges: { note: null },
  relaxed_privileges: { note: null },
  proxy_config: NO_PROXY,
  proxy_uring: NO_PROXY,
  sock_cookie_id: { refusal: 'sockets get no cookies' },
};

/** What an `-o` asks for. */
export interface ExtendedOutcome {
  /** Settings by name, as if they had been given. */
  settings: { name: string; text: string; origin: string }[];
  notes: string[];
}

/**
 * Reads memcached's `-o name=value,name,…`.
 * @throws VolleyError ERR_VOLLEY_USAGE for what is unknown or not done
 */
export function readExtendedOptions(list: string): ExtendedOutcome {
  const outcome: ExtendedOutcome = { settings: [], notes: [] };
  for (const entry of list.split(',').filter((text) => text !== '')) {
    const [name, ...rest] = entry.split('=') as [string, ...string[]];
    take(name, rest.length > 0 ? rest.join('=') : null, outcome);
  }
  return outcome;
}

function take(name: string, value: string | null, outcome: ExtendedOutcome): void {
  const origin = `-o ${name}`;
  const extended = name.startsWith('ext_')
    ? NO_EXTSTORE
    : Object.hasOwn(EXTENDED, name)
      ? EXTENDED[name]!
      : null;
  if (extended === null) throw usage(`${origin} is unknown; see: volley node --help`);
  const { setting, values, note, refusal } = extended as Extended;
  if (refusal) throw usage(`${origin} is not possible: ${refusal}`);
  if (note) outcome.notes.push(`${origin} has no effect: ${note}`);
  if (!setting) return;
  if (value === null || value === '') throw usage(`${origin} wants a value: -o ${name}=…`);
  const text = values ? values[value] : value;
  if (text === undefined) throw usage(`${origin}: "${value}" is none of ${Object.keys(values!).join(', ')}`);
  outcome.settings.push({ name: setting, text, origin });
}

function usage(message: string): VolleyError {
  return new VolleyError('ERR_VOLLEY_USAGE', message);
}
