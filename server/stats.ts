import { readFileSync } from 'node:fs';
import { arch } from 'node:process';
import { BUCKET_BYTES, ENTRIES_PER_BUCKET, type FabricCounts, type Region } from '../src/native.js';
import { ClassStats } from './class-stats.js';
import type { Clock } from './clock.js';
import type { Compactor } from './compactor.js';
import { type ConnectionFacts, connectionStats } from './connection-stats.js';
import type { Counters } from './counters.js';
import type { FabricOutcome } from './fabric.js';
import { parseListenAddresses } from './listen-address.js';
import type { NodeOptions } from './options.js';
import type { Slots } from './slots.js';
import type { Store } from './store.js';
import type { ReaderPool } from './threads/reader-pool.js';

export type Stat = readonly [name: string, value: string];

/** What the figures are made from. */
export interface StatsSource {
  node: {
    readonly options: NodeOptions;
    readonly name: string;
    readonly port: number;
    readonly accepts: boolean;
    readonly localPath: string | null;
    readonly epoch: string;
    readonly notice: string | null;
    readonly fabric: FabricOutcome;
    readonly fabricCounts: FabricCounts;
    readonly readers: ReaderPool | null;
    connections(): Iterable<ConnectionFacts>;
  };
  version: string;
  counters: Counters;
  store: Store;
  slots: Slots;
  compactor: Compactor;
  region: Region;
  clock: Clock;
}

/** The answers to `stats` and its topics. */
export class Stats {
  private readonly startedSeconds: number;
  private readonly classes: ClassStats;

  constructor(private readonly source: StatsSource) {
    this.startedSeconds = source.clock.seconds();
    this.classes = new ClassStats(source.store, source.slots, source.counters.classes);
  }

  /** Seconds since the node started. */
  get uptimeSeconds(): number {
    return this.source.clock.seconds() - this.startedSeconds;
  }

  /** The figures of a topic (`` is the plain `stats`), or null when there is no such topic. */
  topic(name: string): Stat[] | null {
    this.collect();
    switch (name) {
      case '':
        return this.general();
      case 'volley':
        return this.volley();
      case 'conns':
        return this.connections();
      case 'settings':
        return this.settings();
      case 'items':
        return list(this.classes.items());
      case 'slabs':
        return list(this.classes.slabs(this.source.region.info.pageBytes));
      case 'sizes':
        return [['sizes_status', 'disabled']];
      default:
        return null;
    }
  }

  /** Adds up what all threads have counted. */
  collect(): void {
    this.source.node.readers?.collect();
  }

  /** Takes note of whether reads are counted by prefix, which the main thread alone does. */
  notePrefixes(isCounted: boolean): void {
    this.source.node.readers?.recall(isCounted);
  }

  /** Threads that carry out commands. */
  private get threads(): number {
    return 1 + (this.source.node.readers?.threads ?? 0);
  }

  private general(): Stat[] {
    const { counters, store, slots, clock, version, region } = this.source;
    const { options } = this.source.node;
    const now = clock.seconds();
    const usage = process.resourceUsage();
    return list({
      pid: process.pid,
      uptime: this.uptimeSeconds,
      time: now,
      version,
      pointer_size: arch.includes('64') ? 64 : 32,
      rusage_user: seconds(usage.userCPUTime),
      rusage_system: seconds(usage.systemCPUTime),
      max_connections: options.maxConnections,
      curr_connections: counters.currConnections,
      total_connections: counters.totalConnections,
      rejected_connections: counters.rejectedConnections,
      listen_disabled_num: 0,
      time_in_listen_disabled_us: 0,
      shed_connections: counters.shedConnections,
      idle_kicks: counters.idleKicks,
      cmd_get: counters.cmdGet,
      cmd_set: counters.cmdSet,
      cmd_flush: counters.cmdFlush,
      cmd_touch: counters.cmdTouch,
      get_hits: counters.getHits,
      get_misses: counters.getMisses,
      get_expired: store.getExpired,
      get_flushed: store.getFlushed,
      cmd_meta: counters.cmdMeta,
      delete_misses: counters.deleteMisses,
      delete_hits: counters.deleteHits,
      incr_misses: counters.incrMisses,
      incr_hits: counters.incrHits,
      decr_misses: counters.decrMisses,
      decr_hits: counters.decrHits,
      cas_misses: counters.casMisses,
      cas_hits: counters.casHits,
      cas_badval: counters.casBadval,
      touch_hits: counters.touchHits,
      touch_misses: counters.touchMisses,
      store_too_large: counters.storeTooLarge,
      store_no_memory: counters.storeNoMemory,
      auth_cmds: counters.authCmds,
      auth_errors: counters.authErrors,
      cmd_denied: counters.deniedCommands,
      ssl_handshake_errors: counters.tlsErrors,
      bytes_read: counters.bytesRead,
      bytes_written: counters.bytesWritten,
      limit_maxbytes: options.memoryBytes,
      accepting_conns: Number(this.source.node.accepts),
      threads: this.threads,
      bytes: store.tally.itemBytes,
      curr_items: store.itemCount,
      total_items: store.totalItems,
      evictions: store.evictor?.total.evicted ?? 0,
      evicted_unfetched: store.evictor?.total.evictedUnfetched ?? 0,
      evicted_active: store.evictor?.total.evictedActive ?? 0,
      reclaimed: store.reclaimed,
      expired_unfetched: store.expiredUnfetched,
      hash_bytes: region.info.bucketCount * BUCKET_BYTES,
      slab_global_page_pool: slots.freePages,
      slots_quarantined: slots.resting,
    });
  }

  private volley(): Stat[] {
    const { node, store, slots } = this.source;
    const region = this.source.region.info;
    const entries = region.bucketCount * ENTRIES_PER_BUCKET;
    const { offer, reason } = node.fabric;
    const counts = node.fabricCounts;
    return list({
      layout_version: region.layoutVersion,
      epoch: node.epoch,
      name: node.name,
      boot_id: bootId(),
      pid: process.pid,
      region_bytes: region.bytes,
      table_offset: region.tableOffset,
      bucket_count: region.bucketCount,
      bucket_capacity: region.bucketCapacity,
      table_entries: entries,
      table_items: store.itemCount,
      table_fill: (store.itemCount / entries).toFixed(4),
      arena_offset: region.arenaOffset,
      arena_bytes: region.arenaBytes,
      arena_page_bytes: region.pageBytes,
      backing_page_bytes: region.backingPageBytes,
      notice: node.notice ?? '',
      region_file: node.options.region ?? '',
      restored_items: this.source.region.restored?.items ?? 0,
      damaged_items: (this.source.region.restored?.damaged ?? 0) + store.damagedItems,
      slots_quarantined: slots.resting,
      bytes_quarantined: slots.restingBytes,
      slots_quarantined_max: slots.restingMax,
      bytes_quarantined_max: slots.restingBytesMax,
      slots_released_early: slots.releasedEarly,
      pages_free: slots.freePages,
      pages_emptied: this.source.compactor.emptiedPages,
      items_moved: this.source.compactor.movedItems,
      items_used: this.source.counters.usedItems,
      ...this.source.counters.oneSidedReads.figures(),
      on_full: node.options.onFull,
      item_size_max: node.options.itemSizeMax,
      authentication: node.options.authFile === null ? 'none' : 'password',
      thread_connections: node.readers?.size ?? 0,
      thread_moves: this.source.counters.movedConnections,
      faults: this.source.counters.faults,
      removals: this.source.store.removals,
      rejected_for_resources: this.source.counters.rejectedForResources,
      transports: [node.localPath && 'local', offer && 'fabric', 'tcp'].filter(Boolean).join(','),
      local_path: node.localPath ?? '',
      fabric_provider: offer?.provider ?? '',
      fabric_device: offer?.device ?? '',
      fabric_endpoint: offer?.endpoint ?? '',
      fabric_reason: printable(reason),
      fabric_port: offer?.port ?? 0,
      fabric_address: Buffer.from(offer?.address ?? []).toString('hex'),
      fabric_base: hex(offer?.base ?? 0n),
      fabric_key: hex(offer?.key ?? 0n),
      fabric_token: Buffer.from(offer?.token ?? []).toString('hex'),
      fabric_connections: counts.connections,
      fabric_refused_token: counts.refusedToken,
      fabric_refused_full: counts.refusedFull,
      fabric_reclaimed: counts.reclaimed,
    });
  }

  private connections(): Stat[] {
    const { uptimeSeconds } = this;
    const { node } = this.source;
    const { address, socketPath } = node.options;
    const { host } = parseListenAddresses(address)[0]!;
    return connectionStats(node.connections(), { address: host, port: node.port, socketPath, uptimeSeconds });
  }

  private settings(): Stat[] {
    const { options, port } = this.source.node;
    return list({
      maxbytes: options.memoryBytes,
      maxconns: options.maxConnections,
      tcpport: port,
      udpport: 0,
      tcp_backlog: options.backlog,
      inter: options.address,
      domain_socket: options.socketPath ?? 'NULL',
      umask: options.socketMode.toString(8),
      memory_file: options.region ?? '(null)',
      shutdown_command: 'no',
      verbosity: options.verbosity,
      evictions: options.onFull === 'evict' ? 'on' : 'off',
      growth_factor: this.source.slots.growth.toFixed(2),
      chunk_size: this.source.slots.use()[0]!.slotBytes,
      stat_key_prefix: this.source.counters.prefixes.delimiter,
      detail_enabled: this.source.counters.prefixes.enabled ? 'yes' : 'no',
      num_threads: this.threads,
      cas_enabled: 'yes',
      auth_enabled_sasl: options.authFile === null ? 'no' : 'yes',
      auth_enabled_ascii: options.authFile === null ? 'no' : 'yes',
      item_size_max: options.itemSizeMax,
      maxconns_fast: 'yes',
      idle_timeout: Math.ceil(options.idleTimeoutMs / 1000),
      binding_protocol: 'auto-negotiate',
      flush_enabled: options.flushAllowed ? 'yes' : 'no',
      ssl_enabled: options.tls ? 'yes' : 'no',
      dump_enabled: 'yes',
      quarantine_ms: options.quarantineMs,
      hugepages: options.hugepages,
    });
  }
}

function list(stats: Record<string, string | number>): Stat[] {
  return Object.entries(stats).map(([name, value]) => [name, String(value)]);
}

/** Microseconds as memcached prints CPU time: `12.000345`. */
function seconds(microseconds: number): string {
  return (microseconds / 1e6).toFixed(6);
}

/** What tells this boot of this host from all others; clients use the local transport only on the same one. */
function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}

/** One line, for errors of the system stand in it. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, ' ');
}

/** 16 hex digits. */
function hex(value: bigint): string {
  return value.toString(16).padStart(16, '0');
}
