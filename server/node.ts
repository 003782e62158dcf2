import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { VolleyError } from '../src/errors.js';
import { wayName } from '../src/fabric-choice.js';
import { type FabricCounts, native, type Region, ROOT } from '../src/native.js';
import { readAuthFile } from './auth/auth-file.js';
import type { Credentials } from './auth/credentials.js';
import { Throttle } from './auth/throttle.js';
import { systemClock } from './clock.js';
import { Connection, type ConnectionContext } from './connection.js';
import { Counters } from './counters.js';
import { type FabricOutcome, offerFabric } from './fabric.js';
import { Flights } from './flights.js';
import { claimSocketPath } from './local-socket.js';
import { defaultLocalPath, type NodeOptions, resolveOptions } from './options.js';
import { Rejections } from './rejections.js';
import { Slots } from './slots.js';
import { Stats } from './stats.js';
import { Store } from './store.js';
import { Sweeper } from './sweeper.js';
import { Waiters } from './waiters.js';

const MIB = 1024 * 1024;
const PAGE_BYTES = 1_054_720;
const TICK_MS = 250;
/** How often connections are asked whether they stall, in ticks. */
const STALL_CHECK_TICKS = 4;
const KEEP_ALIVE_MS = 60_000;
const DRAIN_POLL_MS = 20;
/** Milliseconds that clients have to close their side when the node stops. */
const FAREWELL_MS = 250;
const PACKAGE: { version: string } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
/** The memcached whose commands are spoken, for clients that look at the number, then our own version. */
const VERSION = `1.6.0-volley-${PACKAGE.version}`;

/** A storage node: owns a region of memory, serves it by the memcached protocols and hands it out on this host. */
export class StorageNode {
  readonly options: NodeOptions;
  /** TCP port listened on; set by start(). */
  port = 0;
  /** The unix socket that hands out the region, or null; set by start(). */
  localPath: string | null = null;
  /** How the region is read over a fabric. */
  fabric: FabricOutcome = { offer: null, reason: 'not started' };
  private readonly region: Region;
  private readonly slots: Slots;
  private readonly context: ConnectionContext;
  private readonly server: Server;
  private readonly connections = new Set<Connection>();
  private readonly rejections = new Rejections();
  private ticker: NodeJS.Timeout | undefined;
  private ticks = 0;
  private stopped: Promise<void> | undefined;

  /**
   * Makes the region; stop() frees it.
   * @throws VolleyError ERR_VOLLEY_USAGE when an option is out of bounds, ERR_VOLLEY_FILE when the auth file cannot be
   * used, ERR_VOLLEY_MEMORY when there is not enough
   */
  constructor(given: Partial<NodeOptions> = {}) {
    this.options = resolveOptions(given);
    const { memoryBytes, tableItems, hugepages, quarantineMs, authFile } = this.options;
    const credentials = authFile === null ? null : readAuthFile(authFile);
    this.region = new (native().Region)({
      arenaBytes: Math.ceil(memoryBytes / MIB) * PAGE_BYTES,
      tableItems,
      hugepages: hugepages === 'auto',
    });
    const { pageBytes, arenaBytes } = this.region.info;
    const flights = new Flights();
    this.slots = new Slots({
      pageBytes,
      pageCount: Math.floor(arenaBytes / pageBytes),
      quarantineMs,
      flights,
      nowMs: systemClock.monotonicMs,
    });
    this.context = this.assemble(flights, credentials);
    this.server = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
      (socket) => this.accept(socket),
    );
  }

  private assemble(flights: Flights, credentials: Credentials | null): ConnectionContext {
    const { options, region, slots } = this;
    const { itemSizeMax, idleTimeoutMs, stallTimeoutMs, loginTimeoutMs, quarantineMs } = options;
    const clock = systemClock;
    const counters = new Counters();
    const store = new Store({ region, slots, itemSizeMax, clock });
    const stats = new Stats({
      node: this,
      version: VERSION,
      counters,
      store,
      slots,
      region: region.info,
      clock,
    });
    const sweeper = new Sweeper(store, clock);
    const login = credentials && { credentials, counters, throttle: new Throttle(clock.monotonicMs) };
    return {
      store,
      slots,
      stats,
      counters,
      sweeper,
      waiters: new Waiters(slots),
      version: VERSION,
      flights,
      login,
      clock,
      quarantineMs,
      idleTimeoutMs,
      stallTimeoutMs,
      loginTimeoutMs,
    };
  }

  /** What the node calls itself. */
  get name(): string {
    return this.options.name || `${this.options.address}:${this.port}`;
  }

  /** What became of those who wanted to connect over the fabric. */
  get fabricCounts(): FabricCounts {
    return this.region.fabricCounts;
  }

  /** The region's epoch, 16 hex digits. */
  get epoch(): string {
    return this.region.info.epoch.toString(16).padStart(16, '0');
  }

  /** What the node counts; live. */
  get counters(): Readonly<Counters> {
    return this.context.counters;
  }

  /** Why the region is not what was asked for (no hugepages…), or null. */
  get notice(): string | null {
    return this.region.notice;
  }

  /**
   * Begins to listen.
   * @throws VolleyError ERR_VOLLEY_ADDRESS when the address cannot be had, ERR_VOLLEY_FILE when the local socket cannot;
   * the node is stopped then
   */
  async start(): Promise<void> {
    try {
      await this.listen();
      await this.share();
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    this.ticker.unref();
  }

  private async listen(): Promise<void> {
    const { address, port } = this.options;
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, address, port)));
      this.server.listen({ host: address, port, backlog: 1024 }, resolve);
    });
    this.server.on('error', (error) => this.log(`a connection could not be accepted: ${error.message}`));
    const bound = this.server.address();
    if (bound !== null && typeof bound === 'object') this.port = bound.port;
  }

  private async share(): Promise<void> {
    const { local, fabric, address, maxConnections, fabricHoldMs } = this.options;
    const place = { address, connectionsMax: maxConnections, placeHeldMs: fabricHoldMs };
    this.fabric = await offerFabric(this.region, fabric, place);
    const { offer, reason } = this.fabric;
    this.log(offer === null ? `not read over a fabric: ${reason}` : `read over ${wayName(offer)}: ${reason}`);
    if (local === 'off') return;
    const path = local === 'auto' ? defaultLocalPath(this.port) : local;
    await claimSocketPath(path);
    this.region.share(path);
    this.localPath = path;
  }

  private accept(socket: Socket): void {
    const { counters } = this.context;
    counters.totalConnections++;
    if (this.connections.size >= this.options.maxConnections) {
      counters.rejectedConnections++;
      this.rejections.add(socket);
      return;
    }
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    const connection = new Connection(socket, this.context, () => {
      this.connections.delete(connection);
      counters.currConnections--;
      this.log(`${peer} closed`);
    });
    this.connections.add(connection);
    counters.currConnections++;
    this.log(`${peer} connected`);
  }

  private tick(): void {
    this.slots.release();
    this.context.sweeper.tick();
    this.ticks++;
    if (this.ticks % STALL_CHECK_TICKS !== 0) return;
    for (const connection of this.connections) {
      const reason = connection.stalled();
      if (reason === null) continue;
      this.context.counters.shedConnections++;
      this.log(`a connection is closed: ${reason}`);
      connection.destroy();
    }
  }

  private log(text: string): void {
    if (this.options.verbosity > 0) process.stderr.write(`volley node ${this.name}: ${text}\n`);
  }

  /** Stops: takes no more connections, answers what was received, and frees the region. Takes a bounded time. */
  stop(): Promise<void> {
    this.stopped ??= this.shutDown();
    return this.stopped;
  }

  private async shutDown(): Promise<void> {
    clearInterval(this.ticker);
    this.region.unshare();
    this.localPath = null;
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    // Bytes that have arrived already are read in these turns of the event loop.
    await nextTurn();
    await nextTurn();
    for (const connection of this.connections) connection.drain();
    await this.until(() => this.allSaid(), this.options.drainTimeoutMs);
    await this.until(() => this.connections.size === 0, FAREWELL_MS);
    for (const connection of this.connections) connection.destroy();
    this.rejections.destroy();
    await closed;
    this.context.sweeper.stop();
    this.context.waiters.stop();
    this.region.close();
  }

  private allSaid(): boolean {
    for (const connection of this.connections) {
      if (!connection.hasSaidAll) return false;
    }
    return true;
  }

  private async until(isTrue: () => boolean, timeoutMs: number): Promise<void> {
    const endMs = systemClock.monotonicMs() + timeoutMs;
    while (!isTrue() && systemClock.monotonicMs() < endMs) await delay(DRAIN_POLL_MS);
  }
}

function listenError(error: NodeJS.ErrnoException, address: string, port: number): VolleyError {
  const where = `${address}:${port}`;
  const reasons: Record<string, string> = {
    EADDRINUSE: `cannot listen on ${where}: something listens there already; give another port with -p`,
    EADDRNOTAVAIL: `cannot listen on ${where}: this host has no such address; give one that it has with -l`,
    EACCES: `cannot listen on ${where}: this user may not use the port; give one above 1023 with -p`,
  };
  const message = reasons[error.code ?? ''] ?? `cannot listen on ${where}: ${error.message}`;
  return new VolleyError('ERR_VOLLEY_ADDRESS', message, { cause: error });
}
