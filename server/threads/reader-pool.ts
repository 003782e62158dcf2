import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Region } from '../../src/native.js';
import type { Clock } from '../clock.js';
import type { ConnectionFacts } from '../connection-stats.js';
import type { Counters } from '../counters.js';
import { formatAddress } from '../listen-address.js';
import type { Log } from '../log.js';
import type { Store } from '../store.js';
import { takeDescriptor } from './descriptor.js';
import type { FromThread } from './messages.js';
import { ReaderWorker } from './reader-worker.js';
import type { SharedBoard } from './shared-board.js';
import { CountsReader, threadCountsMemory } from './thread-counts.js';

/** A client that a reader thread serves. */
export interface HandedClient {
  /** Its number among all clients of the node, which no other one gets. */
  id: number;
  /** Who it is, for the log. */
  peer: string;
  /** Its place on the shared board, which another client gets afterwards. */
  index: number;
  thread: number;
  descriptor: number;
  remote: string | null;
  local: string;
}

export interface ReaderPoolOptions {
  threads: number;
  board: SharedBoard;
  region: Region;
  store: Store;
  counters: Counters;
  log: Log;
  maxConnections: number;
  version: string;
  idleTimeoutMs: number;
  stallTimeoutMs: number;
  busyWaitUs: number;
  clock: Clock;
}

/** What becomes of clients that were handed over. */
export interface HandedEvents {
  /** @param reason why the thread closed the connection, or null when the client did, or nobody */
  onClosed: (client: HandedClient, reason: string | null) => void;
  /** The main thread is to go on with the client, from these bytes on. */
  onMoved: (client: HandedClient, descriptor: number, unread: Uint8Array) => void;
}

/** The reader threads of a node, as its main thread sees them: hands clients to them, and sums up what they count. */
export class ReaderPool {
  private readonly workers: ReaderWorker[] = [];
  private readonly counts: CountsReader[] = [];
  private readonly loads: number[] = [];
  /** By id. */
  private readonly clients = new Map<number, HandedClient>();
  private readonly freeIndexes: number[] = [];
  private indexesUsed = 0;
  private drained = new Set<number>();

  constructor(
    private readonly options: ReaderPoolOptions,
    private readonly events: HandedEvents,
  ) {
    const region = options.region.lend();
    for (let thread = 0; thread < options.threads; thread++) this.add(thread, region);
  }

  private add(thread: number, region: number): void {
    const { threads, board, maxConnections, version, idleTimeoutMs, stallTimeoutMs, busyWaitUs, clock } =
      this.options;
    const counts = threadCountsMemory();
    const setup = {
      thread,
      threads,
      region,
      connectionsMax: maxConnections,
      board: board.memory,
      counts,
      version,
      idleTimeoutMs,
      stallTimeoutMs,
      busyWaitUs,
      clockBase: clock.base,
    };
    const onMessage = (event: FromThread) => this.take(thread, event);
    this.workers.push(
      new ReaderWorker({
        setup,
        board,
        onMessage,
        onLost: (reason) => this.lost(thread, reason),
        nowMs: clock.monotonicMs,
      }),
    );
    this.counts.push(new CountsReader(counts));
    this.loads.push(0);
  }

  /** @throws VolleyError ERR_VOLLEY_SETUP when a thread does not start */
  async start(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.start()));
  }

  /** Clients that reader threads serve now. */
  get size(): number {
    return this.clients.size;
  }

  get threads(): number {
    return this.options.threads;
  }

  /**
   * Hands a client that has just connected to the thread with the fewest, if one has fewer than the main thread or as few.
   * Returns false when the main thread is to serve it.
   */
  hand(socket: Socket, id: number, peer: string, mainLoad: number): boolean {
    if (this.options.board.isRecalled) return false;
    const thread = this.leastLoaded();
    if (thread < 0 || this.loads[thread]! > mainLoad) return false;
    const { remoteAddress, remotePort, localAddress, localPort } = socket;
    const isUnix = remoteAddress === undefined;
    const descriptor = takeDescriptor(socket);
    if (descriptor < 0) return false;
    const index = this.freeIndexes.pop() ?? this.indexesUsed++;
    const remote = isUnix ? null : formatAddress(remoteAddress, remotePort!);
    const local = isUnix ? '' : formatAddress(localAddress!, localPort!);
    this.clients.set(id, { id, peer, index, thread, descriptor, remote, local });
    this.loads[thread]!++;
    this.options.board.noteConnection(index, 'waiting', 0);
    this.workers[thread]!.tell({ does: 'serve', id, index, descriptor });
    return true;
  }

  private leastLoaded(): number {
    let least = -1;
    for (const [thread, worker] of this.workers.entries()) {
      if (worker.isUp && (least < 0 || this.loads[thread]! < this.loads[least]!)) least = thread;
    }
    return least;
  }

  private take(thread: number, event: FromThread): void {
    if (event.event === 'damaged') {
      // To look it up is what takes it away.
      this.options.store.findOne(event.key, 0, event.key.length);
    } else if (event.event === 'fault') {
      this.options.counters.faults++;
      this.options.log.error({ thread, reason: event.reason }, 'a reader thread met a fault of its own');
    } else if (event.event === 'drained') {
      this.drained.add(thread);
    } else if (event.event !== 'ready') {
      this.takeBack(thread, event);
    }
  }

  private takeBack(thread: number, event: Extract<FromThread, { id: number }>): void {
    const client = this.clients.get(event.id);
    if (client === undefined || client.thread !== thread) {
      this.options.log.warn(
        { thread, client: event.id, event: event.event },
        'a message about an unknown client',
      );
      if (event.event === 'moved') closeSync(event.descriptor);
      return;
    }
    this.forget(client);
    if (event.event === 'closed') this.events.onClosed(client, event.reason);
    else this.events.onMoved(client, event.descriptor, event.unread);
  }

  private forget({ id, index, thread }: HandedClient): void {
    this.clients.delete(id);
    this.freeIndexes.push(index);
    this.loads[thread]!--;
  }

  private lost(thread: number, reason: string): void {
    this.options.log.error(
      { thread, reason },
      'a reader thread has ended, and its connections with it; another one takes its place',
    );
    this.drained.add(thread);
    for (const client of [...this.clients.values()]) {
      if (client.thread !== thread) continue;
      if (this.options.board.isWaiting(client.index)) closeSync(client.descriptor);
      this.forget(client);
      this.events.onClosed(client, null);
    }
  }

  /** How each connection stands, as of the last second. */
  *facts(): Iterable<ConnectionFacts> {
    const { board } = this.options;
    for (const { id, index, remote, local } of this.clients.values()) {
      yield { id, remote, local, state: board.stateOf(index), silentSeconds: board.silentSecondsOf(index) };
    }
  }

  /** Adds what the threads have counted since the last call to the node's counts. */
  collect(): void {
    const { counters, store } = this.options;
    for (const counts of this.counts) {
      counts.take(
        (name, more) => {
          if (name === 'getExpired' || name === 'getFlushed') store[name] += more;
          else counters[name] += more;
        },
        (classId, hits) => counters.classes.add('get_hits', classId, hits),
      );
    }
  }

  /** Whether all commands are to be carried out by the main thread: connections come back with their next one. */
  recall(isWanted: boolean): void {
    this.options.board.isRecalled = isWanted;
  }

  /** To be called once a second at least. @param isHeldUp whether answers under way hold up memory that is wanted */
  tick(isHeldUp: boolean): void {
    this.options.board.isHeldUp = isHeldUp;
    this.collect();
    for (const worker of this.workers) worker.check();
  }

  /** Has the threads answer what has been received and close their connections. */
  drain(): void {
    this.drained = new Set(this.workers.flatMap((worker, thread) => (worker.isUp ? [] : [thread])));
    for (const worker of this.workers) worker.tell({ does: 'drain' });
  }

  /** Whether all clients of the threads have been told all, after drain(). */
  get hasSaidAll(): boolean {
    return this.drained.size >= this.workers.length;
  }

  async stop(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.stop()));
    this.clients.clear();
  }
}
