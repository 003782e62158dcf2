import type { Socket } from 'node:net';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { Connection, type ConnectionContext, IDLES } from './connection.js';
import type { ConnectionFacts } from './connection-stats.js';
import type { Counters } from './counters.js';
import type { Inlet } from './inlet.js';
import { formatAddress } from './listen-address.js';
import type { Log } from './log.js';
import type { NodeOptions } from './options.js';
import { RareLog } from './rare-log.js';
import { Receiver } from './receiver.js';
import { Rejections } from './rejections.js';
import { descriptorOf } from './socket-descriptor.js';
import { StreamInlet } from './stream-inlet.js';
import { openDescriptor } from './threads/descriptor.js';
import type { HandedClient, HandedEvents, ReaderPool } from './threads/reader-pool.js';
import { TlsGate } from './tls-gate.js';

const DRAIN_POLL_MS = 20;
/** Milliseconds that clients have to close their side when the node stops. */
const FAREWELL_MS = 250;

/** What a node tells all that has to do with its clients. */
export interface ClientsContext extends ConnectionContext {
  counters: Counters;
}

/** All clients of a node's memcached port: who may come in, who has to go. */
export class Clients implements HandedEvents {
  /** To be replaced when the node's name is known. */
  log: Log;
  /** The threads that serve clients beside this one, if there are any. */
  readers: ReaderPool | null = null;
  /** Sockets that take a place, those in a TLS handshake too. */
  private readonly sockets = new Set<Socket>();
  /** By number, in the order in which they came. */
  private readonly connections = new Map<number, Connection>();
  private served = 0;
  private readonly rejections = new Rejections();
  private readonly receiver: Receiver;
  private readonly gate: TlsGate | null;
  private isDraining = false;
  private refusedReason = '';
  private readonly fullLog: RareLog;
  private readonly shortLog: RareLog;
  private readonly refusedLog: RareLog;

  /** @throws VolleyError ERR_VOLLEY_FILE when TLS is wanted and its files cannot be used */
  constructor(
    private readonly context: ClientsContext,
    private readonly options: NodeOptions,
    /** A connection with this descriptor or a larger one is turned away. */
    private readonly descriptorsMax: number,
    log: Log,
  ) {
    this.log = log;
    const { clock } = context;
    const { maxConnections } = options;
    this.fullLog = new RareLog(clock, (clients) =>
      this.log.warn({ clients, maxConnections }, 'clients are turned away: all connections (-c) are taken'),
    );
    this.shortLog = new RareLog(clock, (clients) =>
      this.log.warn(
        { clients, descriptorsMax },
        'clients are turned away: nearly all file descriptors are in use',
      ),
    );
    this.refusedLog = new RareLog(clock, (clients) =>
      this.log.error({ clients, reason: this.refusedReason }, 'connections could not be accepted'),
    );
    this.receiver = new Receiver(options.busyWaitUs);
    this.gate = options.tls ? this.makeGate() : null;
  }

  private makeGate(): TlsGate {
    const onFailed = (reason: string) => {
      this.context.counters.tlsErrors++;
      this.log.info({ reason }, 'a TLS handshake failed');
    };
    const onSecure = (socket: Socket) => void this.serve(socket, new StreamInlet(socket));
    return new TlsGate(this.options, onSecure, onFailed);
  }

  /** Takes a client that has just connected, or turns it away. @param plain whether it speaks no TLS in any case */
  accept(socket: Socket, plain: boolean): void {
    const { counters } = this.context;
    counters.totalConnections++;
    const isSecure = this.gate !== null && !plain;
    const isFull = this.sockets.size + (this.readers?.size ?? 0) >= this.options.maxConnections;
    // The system gives out the lowest number that is free. Libuv closes what comes when none is left without a word.
    const isShort = !isFull && descriptorOf(socket) >= this.descriptorsMax;
    if (isFull || isShort) {
      if (isShort) this.noteShort();
      else this.noteFull();
      this.rejections.add(socket, isSecure ? this.gate : null);
      return;
    }
    if (isSecure) {
      this.hold(socket);
      this.gate!.admit(socket);
      return;
    }
    if (!this.handOver(socket)) this.servePlain(socket);
  }

  private noteFull(): void {
    this.context.counters.rejectedConnections++;
    this.fullLog.note();
  }

  private noteShort(): void {
    this.context.counters.rejectedConnections++;
    this.context.counters.rejectedForResources++;
    this.shortLog.note();
  }

  /** Takes note of a client that the system could not take a connection of. */
  noteRefused(reason: string): void {
    this.refusedReason = reason;
    this.context.counters.rejectedForResources++;
    this.context.counters.rejectedConnections++;
    this.refusedLog.note();
  }

  /** Has a reader thread serve the client, if there is one that has less to do than this one. */
  private handOver(socket: Socket): boolean {
    if (this.readers === null) return false;
    const peer = peerOf(socket);
    if (!this.readers.hand(socket, this.served + 1, peer, this.sockets.size)) return false;
    this.served++;
    this.noteCome(peer);
    return true;
  }

  private servePlain(socket: Socket, id?: number): Connection {
    this.hold(socket);
    return this.serve(socket, this.receiver.adopt(socket), id);
  }

  onMoved({ id, peer }: HandedClient, descriptor: number, unread: Uint8Array): void {
    this.context.counters.movedConnections++;
    this.noteGone(peer);
    const socket = openDescriptor(descriptor);
    if (socket === null) return;
    const connection = this.servePlain(socket, id);
    connection.goOnWith(unread, 0, unread.length);
    if (this.isDraining) connection.drain();
  }

  onClosed({ peer }: HandedClient, reason: string | null): void {
    if (reason !== null) this.noteShed(peer, reason);
    this.noteGone(peer);
  }

  private noteCome(peer: string): void {
    this.context.counters.currConnections++;
    this.log.debug({ peer }, 'connected');
  }

  private noteGone(peer: string): void {
    this.context.counters.currConnections--;
    this.log.debug({ peer }, 'closed');
  }

  private noteShed(peer: string, reason: string): void {
    const { counters } = this.context;
    counters.shedConnections++;
    if (reason === IDLES) counters.idleKicks++;
    this.log.info({ peer, reason }, 'a connection is closed');
  }

  private hold(socket: Socket): void {
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
  }

  private serve(socket: Socket, inlet: Inlet, id: number = ++this.served): Connection {
    const peer = peerOf(socket);
    const connection = new Connection(socket, inlet, peer, this.context, () => {
      this.connections.delete(id);
      this.noteGone(peer);
    });
    this.connections.set(id, connection);
    this.noteCome(peer);
    return connection;
  }

  /** Closes the connections that stall or idle, and logs what has not been yet; to be called once a second. */
  shed(): void {
    for (const log of [this.fullLog, this.shortLog, this.refusedLog]) log.flush();
    for (const connection of this.connections.values()) {
      const reason = connection.stalled();
      if (reason === null) continue;
      this.noteShed(connection.peer, reason);
      connection.destroy();
    }
  }

  /** How each connection stands. */
  *facts(): Iterable<ConnectionFacts> {
    for (const [id, connection] of this.connections) yield connection.facts(id);
    if (this.readers) yield* this.readers.facts();
  }

  /** Reads the certificates anew, for clients to come. @throws VolleyError ERR_VOLLEY_FILE; all stays as it was then */
  reload(): void {
    this.gate?.reload();
  }

  /** Answers the commands that were received, and closes all connections. Takes a bounded time. */
  async drain(): Promise<void> {
    this.isDraining = true;
    this.readers?.drain();
    // Bytes that have arrived already are read in these turns of the event loop.
    await nextTurn();
    await nextTurn();
    for (const connection of this.connections.values()) connection.drain();
    await this.until(() => this.allSaid(), this.options.drainTimeoutMs);
    await this.until(() => this.connections.size === 0 && (this.readers?.size ?? 0) === 0, FAREWELL_MS);
    for (const connection of this.connections.values()) connection.destroy();
    for (const socket of this.sockets) socket.destroy();
    this.rejections.destroy();
    this.receiver.close();
  }

  private allSaid(): boolean {
    if (this.readers && !this.readers.hasSaidAll) return false;
    for (const connection of this.connections.values()) {
      if (!connection.hasSaidAll) return false;
    }
    return true;
  }

  private async until(isTrue: () => boolean, timeoutMs: number): Promise<void> {
    const { monotonicMs } = this.context.clock;
    const endMs = monotonicMs() + timeoutMs;
    while (!isTrue() && monotonicMs() < endMs) await delay(DRAIN_POLL_MS);
  }
}

/** Who is at the other end, for the log. */
function peerOf(socket: Socket): string {
  const { remoteAddress, remotePort } = socket;
  return remoteAddress === undefined ? 'unix socket' : formatAddress(remoteAddress, remotePort!);
}
