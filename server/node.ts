import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { VolleyError } from '../src/errors.js';
import { wayName } from '../src/fabric-choice.js';
import { trustWarning } from '../src/fabric-providers.js';
import type { FabricCounts, Region, RestoredItems } from '../src/native.js';
import { ROOT } from '../src/root.js';
import { assemble, type NodeContext } from './assembly.js';
import { readAuthFile } from './auth/auth-file.js';
import { Clients } from './clients.js';
import { type Clock, clockFrom } from './clock.js';
import type { ConnectionFacts } from './connection-stats.js';
import type { Counters } from './counters.js';
import { openDescriptorBudget } from './descriptor-budget.js';
import { type FabricOutcome, mayBeOffered, offerFabric } from './fabric.js';
import { Flights } from './flights.js';
import { Housekeeping } from './housekeeping.js';
import {
  formatAddress,
  type ListenAddress,
  parseListenAddresses,
  parseMetricsAddress,
} from './listen-address.js';
import { Listeners } from './listeners.js';
import { claimSocketPath } from './local-socket.js';
import { type Log, openLog } from './log.js';
import { MetricsServer } from './metrics/metrics-server.js';
import { openRegion } from './open-region.js';
import { defaultLocalPath, type NodeOptions, resolveOptions } from './options.js';
import { Slots } from './slots.js';
import { ReaderPool } from './threads/reader-pool.js';
import { SharedBoard } from './threads/shared-board.js';
import { SharedFlights } from './threads/shared-flights.js';

const PACKAGE: { version: string } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
/** The memcached whose commands are spoken, for clients that look at the number, then our own version. */
const VERSION = `1.6.0-volley-${PACKAGE.version}`;

const NO_READERS =
  'only one thread is used: further ones (-t) serve clients that need no password and speak no TLS, and there are none';

/** A storage node: owns a region of memory, serves it by the memcached protocols and hands it out on this host. */
export class StorageNode {
  readonly options: NodeOptions;
  /** The unix socket that hands out the region, or null; set by start(). */
  localPath: string | null = null;
  log: Log;
  /** How the region is read over a fabric. */
  fabric: FabricOutcome = { offer: null, reason: 'not started' };
  /** The threads that serve clients beside the main one, or null. */
  readonly readers: ReaderPool | null;
  private readonly region: Region;
  private readonly slots: Slots;
  private readonly context: NodeContext;
  private readonly listeners: Listeners;
  private readonly addresses: readonly ListenAddress[];
  private readonly clients: Clients;
  private readonly metrics: MetricsServer;
  /** Those who have connected before the region is handed out, which goes by the port; null from then on. */
  private early: { socket: Socket; plain: boolean }[] | null = [];
  private status: 'starting' | 'serving' | 'draining' = 'starting';
  private readonly housekeeping: Housekeeping;
  private stopped: Promise<void> | undefined;
  /** Whether the region is gone. */
  private isClosed = false;

  /**
   * Makes the region; stop() frees it.
   * @param clock where the node takes its time from; a test hands in its own
   * @throws VolleyError ERR_VOLLEY_USAGE when an option is out of bounds, ERR_VOLLEY_FILE when the auth file cannot be
   * used, or the region file, ERR_VOLLEY_LAYOUT when what that holds cannot be taken up, ERR_VOLLEY_MEMORY when there is
   * not enough
   */
  constructor(
    given: Partial<NodeOptions> = {},
    private readonly clock: Clock = clockFrom(),
  ) {
    this.options = resolveOptions(given);
    this.log = openLog(this.options);
    const { maxConnections, threads, fabric } = this.options;
    const isAskedFor = given.maxConnections !== undefined;
    const budget = openDescriptorBudget({
      maxConnections,
      isAskedFor,
      threads,
      fabric: mayBeOffered(fabric),
    });
    this.options.maxConnections = budget.maxConnections;
    if (budget.notice !== null) this.log.warn(budget.notice);
    this.addresses = parseListenAddresses(this.options.address);
    const { authFile } = this.options;
    const credentials = authFile === null ? null : readAuthFile(authFile);
    this.region = openRegion(this.options, mayBeOffered(this.options.fabric));
    try {
      const threads = readerThreads(this.options, this.addresses);
      const board = threads === 0 ? null : new SharedBoard(threads, this.options.maxConnections);
      const flights = board === null ? new Flights() : new SharedFlights(board, threads);
      this.slots = this.makeSlots(flights);
      const { options, region, slots } = this;
      const parts = { node: this, options, version: VERSION, region, slots, flights, credentials, clock };
      this.context = assemble(parts);
      this.clients = new Clients(this.context, this.options, budget.descriptorsMax, this.log);
      this.readers = board && this.openReaders(threads, board);
    } catch (error) {
      // A region file could not be used by anybody else.
      this.region.close();
      throw error;
    }
    const { slots, clients, readers } = this;
    const { store, sweeper, stats, onFault } = this.context;
    clients.readers = readers;
    this.housekeeping = new Housekeeping({ slots, store, sweeper, clients, readers, clock, onFault });
    this.metrics = new MetricsServer(stats, () => this.health);
    this.listeners = new Listeners({
      addresses: this.addresses,
      port: this.options.port,
      backlog: this.options.backlog,
      onSocket: (socket, plain) => {
        if (this.early && this.early.length < this.options.backlog) this.early.push({ socket, plain });
        else if (this.early) socket.destroy();
        else clients.accept(socket, plain);
      },
      onError: ({ message }) => clients.noteRefused(message),
    });
  }

  private makeSlots(flights: Flights): Slots {
    const { pageBytes, arenaBytes } = this.region.info;
    return new Slots({
      pageBytes,
      pageCount: Math.floor(arenaBytes / pageBytes),
      quarantineMs: this.options.quarantineMs,
      flights,
      nowMs: this.clock.monotonicMs,
      onPage: (page, slotBytes) => {
        // Connections that end late still give slots back.
        if (!this.isClosed) this.region.cutPage(page, slotBytes);
      },
      onStarved: () => this.context.compactor.want(),
    });
  }

  private openReaders(threads: number, board: SharedBoard): ReaderPool {
    const { options, region, log } = this;
    const { store, counters, clock } = this.context;
    const { maxConnections, busyWaitUs, idleTimeoutMs, stallTimeoutMs } = options;
    const limits = { maxConnections, busyWaitUs, idleTimeoutMs, stallTimeoutMs };
    return new ReaderPool(
      { threads, board, region, store, counters, log, version: VERSION, clock, ...limits },
      this.clients,
    );
  }

  /** What the node calls itself. */
  get name(): string {
    return this.options.name || this.place;
  }

  /** TCP port listened on, known after start(); 0 on a unix socket. */
  get port(): number {
    return this.listeners.port;
  }

  /** Where the node is first listened for: `127.0.0.1:11211`, or the unix socket's path. */
  get place(): string {
    return this.options.socketPath ?? formatAddress(this.addresses[0]!.host, this.port);
  }

  /** What became of those who wanted to connect over the fabric. */
  get fabricCounts(): FabricCounts {
    return this.region.fabricCounts;
  }

  /** Where metrics are served, known after start(); 0 when they are not. */
  get metricsPort(): number {
    return this.metrics.port;
  }

  /** Whether the node takes connections. */
  get accepts(): boolean {
    return this.status === 'serving';
  }

  private get health() {
    const { name, epoch, status } = this;
    const { uptimeSeconds } = this.context.stats;
    return { status, name, epoch, uptimeSeconds, items: this.context.store.itemCount };
  }

  /** How each connection stands. */
  connections(): Iterable<ConnectionFacts> {
    return this.clients.facts();
  }

  /** The region's epoch, 16 hex digits. */
  get epoch(): string {
    return this.region.info.epoch.toString(16).padStart(16, '0');
  }

  /** What the node counts; live. */
  get counters(): Readonly<Counters> {
    return this.context.counters;
  }

  /** What an earlier node left behind in the region file; null when nothing was there. */
  get restored(): RestoredItems | null {
    return this.region.restored;
  }

  /** Why the region is not what was asked for (no hugepages…), or null. */
  get notice(): string | null {
    return this.region.notice;
  }

  /**
   * Begins to listen, when the node can be read in every way that it offers: a client that asks for these once goes by the answer.
   * @throws VolleyError ERR_VOLLEY_ADDRESS when the address cannot be had, ERR_VOLLEY_FILE when the local socket cannot;
   * the node is stopped then
   */
  async start(): Promise<void> {
    try {
      const { metricsListen } = this.options;
      await this.readers?.start();
      await this.offer();
      if (metricsListen !== null) await this.metrics.listen(parseMetricsAddress(metricsListen));
      await this.listen();
      await this.share();
      this.takeClients();
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.housekeeping.start();
    this.status = 'serving';
    if (this.options.threads > 1 && this.readers === null) this.log.warn(NO_READERS);
    this.log.info({ place: this.place, epoch: this.epoch }, 'serving');
  }

  private async listen(): Promise<void> {
    const { socketPath, socketMode } = this.options;
    if (socketPath === null) await this.listeners.listen();
    else await this.listeners.listenOnSocket(socketPath, socketMode);
    this.log = this.log.child({ node: this.name });
    this.clients.log = this.log;
  }

  /** Offers the region over a fabric, which may take seconds. */
  private async offer(): Promise<void> {
    const { fabric, maxConnections, fabricHoldMs } = this.options;
    const place = {
      address: this.addresses[0]!.host,
      connectionsMax: maxConnections,
      placeHeldMs: fabricHoldMs,
    };
    this.fabric = await offerFabric(this.region, fabric, place);
    const { offer, reason } = this.fabric;
    const how = offer === null ? 'not read over a fabric' : `read over ${wayName(offer)}`;
    this.log.info({ reason }, how);
    const warning = offer === null ? '' : trustWarning(offer.provider);
    if (warning !== '') this.log.warn(warning);
  }

  /** Hands the region out on this host, at a path that goes by the port. */
  private async share(): Promise<void> {
    const { local, socketPath } = this.options;
    if (local === 'off') return;
    const own = socketPath === null ? defaultLocalPath(this.port) : `${socketPath}.region`;
    const path = local === 'auto' ? own : local;
    await claimSocketPath(path);
    this.region.share(path);
    this.localPath = path;
  }

  private takeClients(): void {
    const early = this.early ?? [];
    this.early = null;
    for (const { socket, plain } of early) this.clients.accept(socket, plain);
  }

  /**
   * Reads the auth file and the certificates anew, for clients to come: those who are in stay in. What cannot be used is
   * logged, and stays as it was.
   */
  reload(): void {
    const { authFile } = this.options;
    try {
      if (authFile !== null) this.context.login!.credentials = readAuthFile(authFile);
      this.clients.reload();
      this.log.info('auth file and certificates are read anew');
    } catch (error) {
      this.log.error({ reason: (error as Error).message }, 'not all could be read anew');
    }
  }

  /**
   * Reads the certificates anew, for clients to come.
   * @throws VolleyError ERR_VOLLEY_FILE when they cannot be used, ERR_VOLLEY_USAGE where TLS is not spoken; all stays as it was then
   */
  refreshCertificates(): void {
    if (!this.options.tls) throw new VolleyError('ERR_VOLLEY_USAGE', 'TLS not enabled');
    try {
      this.clients.reload();
      this.log.info('certificates are read anew');
    } catch (error) {
      this.log.error({ reason: (error as Error).message }, 'the certificates could not be read anew');
      throw error;
    }
  }

  /** Stops: takes no more connections, answers what was received, and frees the region. Takes a bounded time. */
  stop(): Promise<void> {
    this.stopped ??= this.shutDown();
    return this.stopped;
  }

  private async shutDown(): Promise<void> {
    this.status = 'draining';
    for (const { socket } of this.early ?? []) socket.destroy();
    this.housekeeping.stop();
    this.region.unshare();
    this.localPath = null;
    const closed = this.listeners.close();
    await this.clients.drain();
    await closed;
    await this.readers?.stop();
    await this.metrics.close();
    this.context.sweeper.stop();
    this.context.waiters.stop();
    this.context.compactor.stop();
    this.context.store.noteClock();
    this.isClosed = true;
    this.region.close();
  }
}

/** Reader threads that a node has: they serve clients that need no password and speak no TLS. */
function readerThreads({ threads, authFile, tls }: NodeOptions, addresses: readonly ListenAddress[]): number {
  const isPlain = !tls || addresses.some(({ plain }) => plain);
  return authFile === null && isPlain ? threads - 1 : 0;
}
