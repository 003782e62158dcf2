import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { native } from '../../src/native.js';
import { clockFrom } from '../clock.js';
import { Connection, type ConnectionContext } from '../connection.js';
import type { Conversation } from '../conversation.js';
import { faultText } from '../fault-text.js';
import type { Output } from '../output.js';
import { BinaryParser, REQUEST_MAGIC } from '../protocol/binary-parser.js';
import { BinaryReplies } from '../protocol/binary-replies.js';
import { TextParser } from '../protocol/text-parser.js';
import { TextReplies } from '../protocol/text-replies.js';
import { Receiver } from '../receiver.js';
import { openDescriptor, takeDescriptor } from './descriptor.js';
import { endOfBinaryHead, endOfLine, FramedParser } from './framed-parser.js';
import type { FromThread, ThreadSetup, ToThread } from './messages.js';
import { type ReadContext, ReadSession } from './read-session.js';
import { ReadStore } from './read-store.js';
import { SharedBoard } from './shared-board.js';
import { threadCounts } from './thread-counts.js';
import { ThreadFlights } from './thread-flights.js';

const TICK_MS = 250;
/** How often connections are asked whether they stall, in ticks. */
const STALL_CHECK_TICKS = 4;
const DRAIN_POLL_MS = 20;

/** A client of this thread, and its place on the shared board. */
interface ServedClient {
  index: number;
  connection: Connection;
}

/** One of a node's reader threads: serves the connections that the main thread hands to it, as long as they only read. */
export class ReaderThread {
  private readonly board: SharedBoard;
  private readonly flights: ThreadFlights;
  private readonly reading: ReadContext;
  private readonly context: ConnectionContext;
  private readonly receiver: Receiver;
  /** By the client's id. */
  private readonly connections = new Map<number, ServedClient>();
  private ticks = 0;
  private isDraining = false;

  constructor(
    private readonly setup: ThreadSetup,
    private readonly tell: (event: FromThread) => void,
  ) {
    const { thread, threads, connectionsMax, idleTimeoutMs, stallTimeoutMs, version } = setup;
    const board = new SharedBoard(threads, connectionsMax, setup.board);
    const clock = clockFrom(setup.clockBase);
    const counters = threadCounts(setup.counts);
    const view = new (native().RegionView)(setup.region);
    const store = new ReadStore(view, clock, counters, (key) => tell({ event: 'damaged', key }));
    this.board = board;
    this.receiver = new Receiver(setup.busyWaitUs);
    this.flights = new ThreadFlights(board, thread);
    this.reading = { store, counters, clock, version, isRecalled: () => board.isRecalled };
    this.context = {
      converse: (first, output) => this.converse(first, output),
      wantsLogin: false,
      flights: this.flights,
      counters,
      clock,
      slots: board,
      idleTimeoutMs,
      stallTimeoutMs,
      loginTimeoutMs: Number.POSITIVE_INFINITY,
      onFault: (error) => tell({ event: 'fault', reason: faultText(error) }),
    };
    // Messages of the main thread are what keeps the thread alive.
    setInterval(() => this.tick(), TICK_MS).unref();
  }

  handle(message: ToThread): void {
    if (message.does === 'serve') this.serve(message);
    else void this.drain();
  }

  private serve({ id, index, descriptor }: Extract<ToThread, { does: 'serve' }>): void {
    // Before the descriptor is taken: if this thread is ended in between, nobody must close it a second time.
    this.board.noteConnection(index, 'conn_read', 0);
    const socket = openDescriptor(descriptor);
    if (socket === null) {
      this.tell({ event: 'closed', id, reason: null });
      return;
    }
    // Also of a client that was given away: its socket here closes a moment later.
    const onClosed = () => {
      if (this.connections.delete(id)) this.tell({ event: 'closed', id, reason: null });
    };
    const onLeaving = () => this.giveAway(id, connection, socket);
    const connection = new Connection(
      socket,
      this.receiver.adopt(socket),
      '',
      this.context,
      onClosed,
      onLeaving,
    );
    this.connections.set(id, { index, connection });
    if (this.isDraining) connection.drain();
  }

  private converse(first: number, output: Output): Conversation {
    const isBinary = first === REQUEST_MAGIC;
    const { arena } = this.reading.store;
    const replies = isBinary ? new BinaryReplies(output, arena) : new TextReplies(output, arena);
    const session = new ReadSession(this.reading, output, replies);
    const parser = isBinary ? new BinaryParser(session) : new TextParser(session);
    const frameEnd = isBinary ? endOfBinaryHead : endOfLine;
    return { session, parser: new FramedParser(parser, frameEnd, session, this.flights) };
  }

  /** Has the main thread go on with a client, whose answers have all left. */
  private giveAway(id: number, connection: Connection, socket: Socket): void {
    const unread = connection.release();
    const descriptor = takeDescriptor(socket);
    if (descriptor < 0) {
      connection.destroy();
      return;
    }
    this.connections.delete(id);
    this.tell({ event: 'moved', id, descriptor, unread });
  }

  private tick(): void {
    this.board.beat(this.setup.thread);
    if (++this.ticks % STALL_CHECK_TICKS === 0) this.shed();
  }

  /** Closes the connections that stall or idle, and tells how the others stand. */
  private shed(): void {
    for (const [id, { index, connection }] of this.connections) {
      const reason = connection.stalled();
      if (reason === null) {
        const { state, silentSeconds } = connection.facts(id);
        this.board.noteConnection(index, state, silentSeconds);
        continue;
      }
      this.connections.delete(id);
      this.tell({ event: 'closed', id, reason });
      connection.destroy();
    }
  }

  private async drain(): Promise<void> {
    this.isDraining = true;
    // Bytes that have arrived already are read in these turns of the event loop.
    await nextTurn();
    await nextTurn();
    for (const { connection } of this.connections.values()) connection.drain();
    const timer = setInterval(() => {
      for (const { connection } of this.connections.values()) if (!connection.hasSaidAll) return;
      clearInterval(timer);
      this.tell({ event: 'drained' });
    }, DRAIN_POLL_MS);
  }
}
