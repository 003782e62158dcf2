import { tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { VolleyError } from '../src/errors.js';
import { parseFabric } from '../src/fabric-choice.js';
import { formatBytes } from '../src/units.js';
import { parseListenAddresses, parseMetricsAddress } from './listen-address.js';

const MIB = 1024 * 1024;

/** How a storage node is to run; every field has a default. */
export interface NodeOptions {
  /**
   * IP addresses to listen on, separated by commas; each may have a port of its own, and `notls:` before it. The first
   * one is what the node is named by and where a fabric listens. Default 127.0.0.1.
   */
  address: string;
  /** TCP port; 0 takes a free one. Default 11211. */
  port: number;
  /** Unix socket on which memcached's protocols are spoken instead of TCP, or null. Default null. */
  socketPath: string | null;
  /** That socket's mode. Default 0o700. */
  socketMode: number;
  /** Connections that may wait to be accepted. Default 1024. */
  backlog: number;
  /**
   * Memory for values, in bytes. Default 64 MiB. Each begun MiB is a page of the arena, which holds 1 MiB of chunks
   * and takes 1,054,720 bytes.
   */
  memoryBytes: number;
  /** Longest value in bytes, at most and by default 1 MiB (a chunk of the largest size). */
  itemSizeMax: number;
  /**
   * Threads that carry out commands: one does all of them, further ones serve plain connections as long as these only read.
   * Default 1.
   */
  threads: number;
  /** Connections open at once. Default 1024. */
  maxConnections: number;
  /**
   * Items that the hashtable may grow to, or null: at least 65,536, and one per 512 bytes of memory; per 4 KiB where
   * memory is taken whole (hugepages, a fabric). Default null.
   */
  tableItems: number | null;
  /** What becomes of a store when memory is full: it fails, or items that were not used for long are evicted. Default error. */
  onFull: 'error' | 'evict';
  /** File on tmpfs or hugetlbfs that holds the region, to be taken up by the next node; or null. Default null. */
  region: string | null;
  /** Whether the region is backed by hugepages when there are enough. Default auto. */
  hugepages: 'auto' | 'off';
  /** What the node calls itself in `stats volley`. Default `address:port`. */
  name: string;
  /** Unix socket that hands out the region; `auto` takes volley-<port>.sock in the run-time folder. Default auto. */
  local: string | 'auto' | 'off';
  /**
   * How the region can be read over a fabric: `auto` (the first fabric device that the address is at), `off`, or PROVIDER
   * or PROVIDER/DEVICE by libfabric's names. Default auto.
   */
  fabric: string;
  /**
   * Milliseconds that a fabric connection keeps its place when all are taken and another client wants one; then the oldest
   * is closed. Default 300,000.
   */
  fabricHoldMs: number;
  /**
   * Microseconds that a thread waits for the next request before it sleeps; waking it takes longer than most answers.
   * Default 50.
   */
  busyWaitUs: number;
  /** Milliseconds that freed slots rest before they are reused. Default 1000. */
  quarantineMs: number;
  /** Milliseconds after which a connection that says nothing is closed; 0 = never. Default 0. */
  idleTimeoutMs: number;
  /** Milliseconds in which a client must take what was sent to it, and send what it has begun. Default 30,000. */
  stallTimeoutMs: number;
  /** Milliseconds that a client has to authenticate, where there is an auth file. Default 10,000. */
  loginTimeoutMs: number;
  /** Milliseconds that stop() waits for commands under way and their answers. Default 5000. */
  drainTimeoutMs: number;
  /** File of `user:password` lines that clients have to authenticate against, or null to be open to all. Default null. */
  authFile: string | null;
  /** Whether clients speak TLS. Default whether there is a certificate. */
  tls: boolean;
  /** Files in PEM: certificate chain; private key, when it is not in the same file; authorities of clients. Default null. */
  tlsCert: string | null;
  tlsKey: string | null;
  tlsCa: string | null;
  /** Whether clients are asked for a certificate, and have to show a good one. Default require where there is tlsCa. */
  tlsVerify: 'none' | 'request' | 'require';
  /** In OpenSSL's notation; empty for Node's choice. Default empty. */
  tlsCiphers: string;
  tlsMinVersion: '1.2' | '1.3';
  /** `ADDRESS:PORT`, or a port of loopback, where /metrics and /health are served; null for nowhere. Default null. */
  metricsListen: string | null;
  /** One character: `stats detail` is on from the start, and prefixes of keys end before it; null: off, and a colon. Default null. */
  prefixDelimiter: string | null;
  /** Whether clients may empty the node with flush_all. Default true. */
  flushAllowed: boolean;
  /** memcached's -v: 1 logs what becomes of connections, 2 more. Default 0. */
  verbosity: number;
  /** What is logged at least, or null to go by the verbosity: `warn`, `debug` from 1 on, `trace` from 2 on. Default null. */
  logLevel: LogLevel | null;
  /** JSON lines, or lines for people; `auto` takes the latter when stderr is a terminal. Default auto. */
  logFormat: 'auto' | 'json' | 'text';
}

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const ITEM_SIZE_MAX = MIB;
const THREADS_MAX = 64;
const BUSY_WAIT_US_MAX = 1_000_000;
/** A day. */
const TIMEOUT_MS_MAX = 86_400_000;
/** 16 TiB: for as many items as the default table may have. */
const MEMORY_BYTES_MAX = 2 ** 44;

/** Fills in the defaults. @throws VolleyError ERR_VOLLEY_USAGE when a value is out of bounds */
export function resolveOptions(given: Partial<NodeOptions>): NodeOptions {
  const memoryBytes = given.memoryBytes ?? 64 * MIB;
  const options: NodeOptions = {
    address: '127.0.0.1',
    port: 11211,
    socketPath: null,
    socketMode: 0o700,
    backlog: 1024,
    memoryBytes,
    itemSizeMax: ITEM_SIZE_MAX,
    threads: 1,
    maxConnections: 1024,
    tableItems: null,
    onFull: 'error',
    region: null,
    hugepages: 'auto',
    name: '',
    local: 'auto',
    fabric: 'auto',
    fabricHoldMs: 300_000,
    busyWaitUs: 50,
    quarantineMs: 1000,
    idleTimeoutMs: 0,
    stallTimeoutMs: 30_000,
    loginTimeoutMs: 10_000,
    drainTimeoutMs: 5000,
    authFile: null,
    tls: (given.tlsCert ?? null) !== null,
    tlsCert: null,
    tlsKey: null,
    tlsCa: null,
    tlsVerify: given.tlsCa ? 'require' : 'none',
    tlsCiphers: '',
    tlsMinVersion: '1.2',
    metricsListen: null,
    prefixDelimiter: null,
    flushAllowed: true,
    verbosity: 0,
    logLevel: null,
    logFormat: 'auto',
    ...dropUndefined(given),
  };
  parseListenAddresses(options.address);
  if (options.metricsListen !== null) parseMetricsAddress(options.metricsListen);
  checkTls(options);
  bound('the port', options.port, 0, 65_535);
  bound('the mode of the socket (-a)', options.socketMode, 0, 0o777);
  bound('the backlog (-b)', options.backlog, 1, 65_535);
  bound('the memory (-m) in bytes', options.memoryBytes, MIB, MEMORY_BYTES_MAX);
  if (options.memoryBytes > totalmem()) {
    const asked = formatBytes(options.memoryBytes);
    throw usage(`the memory (-m) is ${asked}, but this machine has ${formatBytes(totalmem())}; give less`);
  }
  bound('the item size limit (-I) in bytes', options.itemSizeMax, 1024, ITEM_SIZE_MAX);
  bound('the number of threads (-t)', options.threads, 1, THREADS_MAX);
  bound('the connection limit (-c)', options.maxConnections, 1, 1_000_000);
  for (const name of ['idle', 'stall', 'login', 'drain'] as const) {
    bound(`the ${name} timeout in milliseconds`, options[`${name}TimeoutMs`], 0, TIMEOUT_MS_MAX);
  }
  bound('the quarantine in milliseconds', options.quarantineMs, 0, 3_600_000);
  parseFabric(options.fabric);
  bound('the hold of fabric connections in milliseconds', options.fabricHoldMs, 0, 2 ** 31 - 1);
  bound('the busy wait in microseconds', options.busyWaitUs, 0, BUSY_WAIT_US_MAX);
  if (options.tableItems !== null) bound('the table size in items', options.tableItems, 1, 2 ** 36);
  if (options.prefixDelimiter !== null && !/^[\x21-\x7e]$/.test(options.prefixDelimiter)) {
    throw usage('the delimiter of prefixes (-D) is one character of printable ASCII');
  }
  if (/[^\x20-\x7e]/.test(options.name) || options.name.length > 255) {
    throw usage('the name of a node has at most 255 characters of printable ASCII');
  }
  return options;
}

function checkTls({ tls, tlsCert, tlsCa, tlsVerify, socketPath }: NodeOptions): void {
  if (!tls) return;
  if (tlsCert === null) throw usage('TLS (-Z) needs a certificate; give --tls-cert and --tls-key');
  if (socketPath !== null) throw usage('TLS is for TCP; leave it out with a unix socket (-s)');
  if (tlsVerify !== 'none' && tlsCa === null) {
    throw usage(`clients' certificates cannot be examined (--tls-verify ${tlsVerify}) without --tls-ca`);
  }
}

/** Where the region is handed out by default: a folder of this user that is emptied at boot. */
export function defaultLocalPath(port: number): string {
  const folder = process.env.XDG_RUNTIME_DIR || (process.getuid!() === 0 ? '/run' : tmpdir());
  return join(folder, `volley-${port}.sock`);
}

function dropUndefined(given: Partial<NodeOptions>): Partial<NodeOptions> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function bound(what: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw usage(`${what} is ${value}; it must be a whole number from ${least} to ${most}`);
}

function usage(message: string): VolleyError {
  return new VolleyError('ERR_VOLLEY_USAGE', message);
}
