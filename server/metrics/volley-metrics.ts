import { figure, type MetricRow, type Sample, samplesOf } from './metric.js';

const volley = (type: MetricRow['type'], name: string, help: string, stat: string) =>
  figure(type, `volley_${name}`, help, 'volley', stat);
const general = (type: MetricRow['type'], name: string, help: string, stat: string) =>
  figure(type, `volley_${name}`, help, 'general', stat);

function byTransport(local?: string, fabric?: string, tcp?: string): Sample[] {
  return samplesOf([
    [local, { transport: 'local' }],
    [fabric, { transport: 'fabric' }],
    [tcp, { transport: 'tcp' }],
  ]);
}

/** What only a Volley node has. */
export const VOLLEY_METRICS: readonly MetricRow[] = [
  {
    name: 'volley_info',
    type: 'gauge',
    help: 'The node, and the epoch of its region',
    labels: ['name', 'epoch', 'version'],
    samples: ({ volley: { name, epoch }, general: { version } }) => [
      { value: 1, labels: { name: name!, epoch: epoch!, version: version! } },
    ],
  },
  {
    name: 'volley_transport_offered',
    type: 'gauge',
    help: 'Whether the node can be read by this transport',
    labels: ['transport'],
    samples: ({ volley: { transports } }) => {
      const offered = transports!.split(',');
      return ['local', 'fabric', 'tcp'].map((transport) => {
        return { value: Number(offered.includes(transport)), labels: { transport } };
      });
    },
  },
  {
    name: 'volley_connections',
    type: 'gauge',
    help: 'Clients connected, by transport',
    labels: ['transport'],
    samples: ({ volley: { fabric_connections }, general: { curr_connections } }) =>
      samplesOf([
        [curr_connections, { transport: 'tcp' }],
        [fabric_connections, { transport: 'fabric' }],
      ]),
  },
  {
    name: 'volley_thread_connections',
    type: 'gauge',
    help: 'Clients with reader threads (-t)',
    samples: ({ volley: { thread_connections } }) => samplesOf([[thread_connections, {}]]),
  },
  {
    name: 'volley_thread_moves_total',
    type: 'counter',
    help: 'Clients that moved from a reader thread to the main thread',
    samples: ({ volley: { thread_moves } }) => samplesOf([[thread_moves, {}]]),
  },
  {
    name: 'volley_reads_total',
    type: 'counter',
    help: 'Values read, by transport: over tcp hits of get, else what clients told',
    labels: ['transport'],
    samples: ({ volley: { reads_local, reads_fabric }, general: { get_hits } }) =>
      byTransport(reads_local, reads_fabric, get_hits),
  },
  {
    name: 'volley_read_bytes_total',
    type: 'counter',
    help: 'Bytes read, by transport: over tcp all that was sent, else what clients told',
    labels: ['transport'],
    samples: ({ volley: { read_bytes_local, read_bytes_fabric }, general: { bytes_written } }) =>
      byTransport(read_bytes_local, read_bytes_fabric, bytes_written),
  },
  {
    name: 'volley_fabric_refused_total',
    type: 'counter',
    help: 'Fabric connections refused: without the token, or beyond the limit',
    labels: ['reason'],
    samples: ({ volley: { fabric_refused_token, fabric_refused_full } }) =>
      samplesOf([
        [fabric_refused_token, { reason: 'token' }],
        [fabric_refused_full, { reason: 'full' }],
      ]),
  },
  volley('counter', 'fabric_reclaimed_total', 'Fabric connections closed to make room', 'fabric_reclaimed'),
  volley('gauge', 'region_bytes', 'Bytes of the region', 'region_bytes'),
  volley('gauge', 'table_entries', 'Places in the hashtable', 'table_entries'),
  volley('gauge', 'table_items', 'Places taken', 'table_items'),
  volley('gauge', 'table_fill_ratio', 'Places taken of all places', 'table_fill'),
  volley('gauge', 'quarantine_slots', 'Freed slots that rest before they are reused', 'slots_quarantined'),
  volley('gauge', 'quarantine_bytes', 'Their bytes', 'bytes_quarantined'),
  volley('gauge', 'quarantine_max_slots', 'Freed slots that may rest at most', 'slots_quarantined_max'),
  volley(
    'gauge',
    'quarantine_max_bytes',
    'Bytes that may rest while memory is wanted',
    'bytes_quarantined_max',
  ),
  volley(
    'counter',
    'slots_released_early_total',
    'Slots reused before they had rested, for that bound',
    'slots_released_early',
  ),
  volley('counter', 'pages_emptied_total', 'Arena pages emptied for another size class', 'pages_emptied'),
  volley('counter', 'items_moved_total', 'Items moved for that', 'items_moved'),
  volley('counter', 'items_used_total', 'Items that one-sided readers told to have read', 'items_used'),
  volley('gauge', 'restored_items', 'Items taken up from a region file at the start', 'restored_items'),
  volley('gauge', 'damaged_items', 'Slots and values of a region file that were not whole', 'damaged_items'),
  volley(
    'counter',
    'connections_out_of_resources_total',
    'Connections turned away because the system had no descriptors or no memory left',
    'rejected_for_resources',
  ),
  general('counter', 'connections_shed_total', 'Stalling and idle connections closed', 'shed_connections'),
  general('counter', 'logins_total', 'Attempts to authenticate', 'auth_cmds'),
  general('counter', 'logins_refused_total', 'Attempts to authenticate that failed', 'auth_errors'),
  general('counter', 'commands_denied_total', 'Commands that the user may not give', 'cmd_denied'),
  general('counter', 'tls_handshake_errors_total', 'TLS handshakes that failed', 'ssl_handshake_errors'),
];
