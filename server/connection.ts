import type { Socket } from 'node:net';
import type { Clock } from './clock.js';
import type { ConnectionFacts } from './connection-stats.js';
import type { Converse, Speaker } from './conversation.js';
import type { Flights } from './flights.js';
import type { Inlet, Recipient } from './inlet.js';
import { formatAddress } from './listen-address.js';
import { Output } from './output.js';
import type { Parser } from './protocol/commands.js';
import { HELD_UP_MS_MAX } from './slots.js';

/** Milliseconds that a client has to close its side after the node has said its last. */
const CLOSING_MS = 2000;
/** A connection that is paused with more than this many bytes in store is not read from. */
const PAUSED_BYTES_MAX = 16_384;
const NOTHING = Buffer.alloc(0);
/** Why connections are closed that say nothing. */
export const IDLES = 'it idles';

/** What a node tells its connections. */
export interface ConnectionContext {
  converse: Converse;
  /** Whether clients have to authenticate first. */
  wantsLogin: boolean;
  flights: Flights;
  counters: { bytesRead: number; bytesWritten: number };
  clock: Clock;
  /** Whether answers under way hold up memory that is wanted. */
  slots: { readonly isHeldUp: boolean };
  idleTimeoutMs: number;
  stallTimeoutMs: number;
  loginTimeoutMs: number;
  /** Is told of an exception that a client's commands met, whose connection is closed then. */
  onFault: (error: unknown) => void;
}

/**
 * One client. Reads no further while the client does not take its answers, and closes the connection when the client
 * stalls: every slot that it holds up, as a half-received value or as an answer under way, is free again in bounded time.
 */
export class Connection implements Recipient {
  private readonly output: Output;
  private parser: Parser | null = null;
  private session: Speaker | null = null;
  /** Bytes received that the session was not ready for. */
  private leftover: Uint8Array = NOTHING;
  private readingPaused = false;
  private draining = false;
  /** Whether the client has said its last; it may read on. */
  private heardAll = false;
  /** Whether commands are being carried out now. */
  private taking = false;
  /** When the client connected, and when its last byte was received. */
  private readonly connectedMs: number;
  private receivedMs: number;
  /** When the node said its last, or null. */
  private closingMs: number | null = null;

  constructor(
    private readonly socket: Socket,
    private readonly inlet: Inlet,
    /** Who it is, for the log. */
    readonly peer: string,
    private readonly context: ConnectionContext,
    private readonly onClosed: () => void,
    /** Called when the session leaves and all is answered; release() is to follow. */
    private readonly onLeaving: () => void = () => {},
  ) {
    const { clock, flights } = context;
    this.connectedMs = clock.monotonicMs();
    this.receivedMs = this.connectedMs;
    this.output = new Output({
      sink: socket,
      sender: inlet.sender,
      flights,
      nowMs: clock.monotonicMs,
      counters: context.counters,
      onTaken: () => this.outputTaken(),
    });
    // What is wrong with a connection ends in its close; there is nothing else to do about it.
    socket.on('error', () => {});
    socket.on('close', () => this.closed());
    socket.allowHalfOpen = true;
    socket.on('end', () => this.heardEnd());
    inlet.open(this);
  }

  /** Takes what the client sent, bytes[start, end). The bytes may be others when it has returned. */
  received(bytes: Buffer, start: number, end: number): void {
    this.context.counters.bytesRead += end - start;
    this.goOnWith(bytes, start, end);
  }

  /** Takes what the client sent, and what somebody else has received and counted. */
  goOnWith(bytes: Uint8Array, start: number, end: number): void {
    this.receivedMs = this.context.clock.monotonicMs();
    if (this.closingMs !== null || start === end) return;
    if (this.readingPaused) {
      this.keep(bytes.subarray(start, end));
      return;
    }
    this.parser ??= this.begin(bytes[start]!);
    this.take(bytes, start, end);
    if (this.leftover.length > 0) this.leftover = Buffer.from(this.leftover);
  }

  /** A paused connection reads on for a while: otherwise it would not notice that its client has left. */
  private keep(bytes: Uint8Array): void {
    this.leftover = Buffer.concat([this.leftover, bytes]);
    if (this.leftover.length > PAUSED_BYTES_MAX) this.inlet.pause();
  }

  private begin(first: number): Parser {
    const address = this.socket.remoteAddress ?? '';
    const { parser, session } = this.context.converse(first, this.output, address, () => this.goOn());
    this.session = session;
    return parser;
  }

  private take(bytes: Uint8Array, start: number, end: number): void {
    try {
      this.carryOut(bytes, start, end);
    } catch (error) {
      // A fault of the node's own costs the client that met it, and nobody else.
      this.taking = false;
      this.leftover = NOTHING;
      this.context.onFault(error);
      this.socket.destroy();
    }
  }

  private carryOut(bytes: Uint8Array, start: number, end: number): void {
    let stopped = start;
    // Where the system takes all answers at once, a parser that stopped for them may go on.
    do {
      this.taking = true;
      stopped = this.parser!.feed(bytes, stopped, end);
      this.taking = false;
      this.output.flush();
    } while (stopped < end && !this.session!.paused);
    this.leftover = stopped < end ? bytes.subarray(stopped, end) : NOTHING;
    if (this.session!.ended) this.close();
    else if (this.session!.paused) this.pauseReading();
    else this.closeIfIdle();
    this.leaveIfAnswered();
  }

  private leaveIfAnswered(): void {
    if (this.session!.leaves && this.output.pendingBytes === 0) this.onLeaving();
  }

  /** Gives the client away, who is somebody else's from now on: reads no more, and returns what was not taken. */
  release(): Uint8Array {
    this.inlet.pause();
    return Buffer.concat([this.session?.unread ?? NOTHING, this.leftover]);
  }

  private pauseReading(): void {
    this.readingPaused = true;
    if (this.leftover.length > PAUSED_BYTES_MAX) this.inlet.pause();
  }

  private outputTaken(): void {
    this.session?.outputTaken();
    this.goOn();
    if (this.session && !this.socket.destroyed) this.leaveIfAnswered();
  }

  /** Takes up what was left over, then reading, when the session is ready again. */
  private goOn(): void {
    // The writes of a connection that is destroyed end too.
    if (this.socket.destroyed) return;
    if (this.readingPaused && this.closingMs === null && !this.session!.paused) {
      this.take(this.leftover, 0, this.leftover.length);
      if (!this.session!.paused) {
        this.readingPaused = false;
        this.inlet.resume();
      }
    }
    this.closeIfIdle();
  }

  /** Answers what the client said before it closed its side, and closes. */
  private heardEnd(): void {
    this.heardAll = true;
    this.closeIfIdle();
  }

  /** Closes the connection as soon as the commands received so far are answered. */
  drain(): void {
    this.draining = true;
    this.closeIfIdle();
  }

  /** Closes the connection when it is to be closed and all is answered. */
  private closeIfIdle(): void {
    if (this.closingMs !== null || this.readingPaused) return;
    if (this.heardAll || (this.draining && !this.parser?.midCommand)) this.close();
  }

  /** Says no more, and reads what still comes only to throw it away, so that the client gets the last answer. */
  private close(): void {
    if (this.closingMs !== null) return;
    this.closingMs = this.context.clock.monotonicMs();
    this.leftover = NOTHING;
    this.session?.close();
    this.socket.end();
    this.inlet.discard();
  }

  /** How the connection stands; `id` is what to call it. */
  facts(id: number): ConnectionFacts {
    const { socket, context } = this;
    const { remoteAddress, remotePort, localAddress, localPort } = socket;
    const isUnix = remoteAddress === undefined;
    return {
      id,
      remote: isUnix ? null : formatAddress(remoteAddress, remotePort!),
      local: isUnix ? '' : formatAddress(localAddress!, localPort!),
      state: this.state,
      silentSeconds: Math.floor((context.clock.monotonicMs() - this.receivedMs) / 1000),
    };
  }

  private get state(): string {
    if (this.closingMs !== null) return 'conn_closing';
    if (this.taking) return 'conn_parse_cmd';
    if (this.output.waitingSinceMs !== null) return 'conn_mwrite';
    return this.parser?.midCommand ? 'conn_nread' : 'conn_read';
  }

  /** Whether the node has said its last, and the system has taken it. */
  get hasSaidAll(): boolean {
    return this.closingMs !== null && this.output.waitingSinceMs === null;
  }

  /** Closes the connection at once. */
  destroy(): void {
    this.socket.destroy();
  }

  /** Why the connection has to be closed now, or null; to be asked about once a second. */
  stalled(): string | null {
    const { clock, slots, idleTimeoutMs, loginTimeoutMs } = this.context;
    // Whoever reads slowly holds up freed memory.
    const patienceMs = slots.isHeldUp ? HELD_UP_MS_MAX : Number.POSITIVE_INFINITY;
    const stallTimeoutMs = Math.min(this.context.stallTimeoutMs, patienceMs);
    const now = clock.monotonicMs();
    const waitingMs = this.output.waitingSinceMs;
    if (waitingMs !== null && now - waitingMs > stallTimeoutMs) return 'it does not read its answers';
    if (this.hasSaidAll && now - this.closingMs! > CLOSING_MS) return 'it does not close';
    const isLocked = this.session?.locked ?? this.context.wantsLogin;
    if (isLocked && now - this.connectedMs > loginTimeoutMs) return 'it does not authenticate';
    const silentMs = now - this.receivedMs;
    if (this.readingPaused || this.closingMs !== null) return null;
    if (this.parser?.midCommand && silentMs > stallTimeoutMs) return 'it does not go on with its command';
    if (idleTimeoutMs > 0 && waitingMs === null && silentMs > idleTimeoutMs) return IDLES;
    return null;
  }

  private closed(): void {
    this.session?.close();
    this.output.closed();
    this.onClosed();
  }
}
