import { classFigure, type Figures, figure, type MetricRow, type Sample, samplesOf } from './metric.js';

/** Commands that hit or miss, as `stats` counts them: `get_hits`, `get_misses`… */
const HIT_OR_MISS = ['get', 'delete', 'incr', 'decr', 'cas', 'touch'];

function commands({ general }: { general: Figures }): Sample[] {
  const pairs = HIT_OR_MISS.flatMap((command) => [
    [general[`${command}_hits`], { command, status: 'hit' }] as const,
    [general[`${command}_misses`], { command, status: 'miss' }] as const,
  ]);
  const { cas_misses, cas_hits, cas_badval, cmd_set, cmd_flush } = general;
  // cmd_set counts cas as well.
  const sets = Number(cmd_set) - Number(cas_misses) - Number(cas_hits) - Number(cas_badval);
  return samplesOf([
    ...pairs,
    [cas_badval, { command: 'cas', status: 'badval' }],
    [cmd_flush, { command: 'flush', status: 'hit' }],
    [String(sets), { command: 'set', status: 'hit' }],
  ]);
}

function classCommands({ classes }: { classes: readonly { slab: string; figures: Figures }[] }): Sample[] {
  return classes.flatMap(({ slab, figures }) => {
    const hits = HIT_OR_MISS.map(
      (command) => [figures[`${command}_hits`], { slab, command, status: 'hit' }] as const,
    );
    const sets = Number(figures.cmd_set) - Number(figures.cas_hits) - Number(figures.cas_badval);
    return samplesOf([
      ...hits,
      [figures.cas_badval, { slab, command: 'cas', status: 'badval' }],
      [String(sets), { slab, command: 'set', status: 'hit' }],
    ]);
  });
}

const general = (type: MetricRow['type'], name: string, help: string, stat: string) =>
  figure(type, `memcached_${name}`, help, 'general', stat);
const slab = (type: MetricRow['type'], name: string, help: string, stat: string) =>
  classFigure(type, `memcached_slab_${name}`, help, stat);

/** What memcached_exporter exports of a memcached, by the same names, as far as a node has it. */
export const MEMCACHED_METRICS: readonly MetricRow[] = [
  { name: 'memcached_up', type: 'gauge', help: 'Whether the node answers', samples: () => [{ value: 1 }] },
  {
    name: 'memcached_version',
    type: 'gauge',
    help: 'The version of this server',
    labels: ['version'],
    samples: (snapshot) => [{ value: 1, labels: { version: snapshot.general.version! } }],
  },
  general('counter', 'uptime_seconds', 'Seconds since the node started', 'uptime'),
  general('gauge', 'time_seconds', 'Unix time by the node', 'time'),
  general('counter', 'process_user_cpu_seconds_total', 'User time of the process', 'rusage_user'),
  general('counter', 'process_system_cpu_seconds_total', 'System time of the process', 'rusage_system'),
  general('counter', 'read_bytes_total', 'Bytes read from clients', 'bytes_read'),
  general('counter', 'written_bytes_total', 'Bytes sent to clients', 'bytes_written'),
  general('gauge', 'current_connections', 'Open connections', 'curr_connections'),
  figure('gauge', 'memcached_max_connections', 'Connections that may be open', 'settings', 'maxconns'),
  general('counter', 'connections_total', 'Connections opened', 'total_connections'),
  general('counter', 'connections_rejected_total', 'Connections beyond -c', 'rejected_connections'),
  general(
    'counter',
    'connections_listener_disabled_total',
    'Times that listening stopped',
    'listen_disabled_num',
  ),
  general('gauge', 'accepting_connections', 'Whether connections are accepted', 'accepting_conns'),
  general('gauge', 'current_bytes', 'Bytes of the items', 'bytes'),
  general('gauge', 'limit_bytes', 'Bytes that items may take (-m)', 'limit_maxbytes'),
  general('gauge', 'malloced_bytes', 'Bytes of the pages given to size classes', 'total_malloced'),
  general('gauge', 'current_items', 'Items stored', 'curr_items'),
  general('counter', 'items_total', 'Items stored since the start', 'total_items'),
  general('counter', 'items_evicted_total', 'Items removed to make room', 'evictions'),
  general('counter', 'items_reclaimed_total', 'Items stored in the memory of expired ones', 'reclaimed'),
  general('counter', 'item_too_large_total', 'Items refused for their size', 'store_too_large'),
  general('counter', 'item_no_memory_total', 'Items refused for lack of memory', 'store_no_memory'),
  {
    name: 'memcached_commands_total',
    type: 'counter',
    help: 'Commands by name and outcome',
    labels: ['command', 'status'],
    samples: commands,
  },
  slab('gauge', 'current_items', 'Items in the size class', 'number'),
  slab('counter', 'items_evicted_total', 'Items removed to make room', 'evicted'),
  slab('counter', 'items_outofmemory_total', 'Items refused for lack of memory', 'outofmemory'),
  slab('gauge', 'chunk_size_bytes', 'Bytes of a slot', 'chunk_size'),
  slab('gauge', 'chunks_per_page', 'Slots in a page', 'chunks_per_page'),
  slab('gauge', 'current_pages', 'Pages of the size class', 'total_pages'),
  slab('gauge', 'current_chunks', 'Slots of the size class', 'total_chunks'),
  slab('gauge', 'chunks_used', 'Slots that hold an item', 'used_chunks'),
  slab('gauge', 'chunks_free', 'Slots that hold none', 'free_chunks'),
  slab('gauge', 'mem_requested_bytes', 'Bytes of the items in their slots', 'mem_requested'),
  {
    name: 'memcached_slab_commands_total',
    type: 'counter',
    help: 'Commands by size class, name and outcome',
    labels: ['slab', 'command', 'status'],
    samples: classCommands,
  },
];
