import type { Flights } from './flights.js';
import type { Sender } from './inlet.js';

/** Arena ranges up to this long are copied: a piece of their own would cost more. */
const COPY_BYTES_MAX = 1024;
const SCRATCH_BYTES = 16_384;

/** What Output needs of a net.Socket. */
export interface Sink {
  cork(): void;
  uncork(): void;
  write(bytes: Uint8Array, done?: (error?: Error | null) => void): boolean;
}

export interface OutputOptions {
  sink: Sink;
  /** A shorter way than through the sink, or null. */
  sender: Sender | null;
  flights: Flights;
  nowMs: () => number;
  /** Counts the bytes that the system has taken. */
  counters: { bytesWritten: number };
  /** Called when the system has taken what it did not take at once. */
  onTaken: () => void;
}

/** One flush that the socket has not taken whole yet. */
interface Flush {
  bytes: number;
  startedMs: number;
  /** Generation of the flight that it is, or -1 when no piece lies in the arena. */
  generation: number;
}

/**
 * Gathers the answers of one connection. Small pieces are written into scratch memory, arena ranges are handed to the
 * system where they lie; what was gathered goes out with one writev at flush(), and what the system does not take at once goes
 * through the socket.
 */
export class Output {
  /** Bytes gathered or handed to the socket that the system has not taken yet. */
  pendingBytes = 0;
  private scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  /** scratch[scratchStart, scratchEnd) is gathered, what is before it may still be under way to the socket. */
  private scratchStart = 0;
  private scratchEnd = 0;
  /** What is gathered, but for what is in scratch memory. */
  private pieces: Uint8Array[] = [];
  private gatheredBytes = 0;
  /** Generation of the flight that the gathered arena pieces are, or -1 when there are none. */
  private generation = -1;
  private isClosed = false;
  private readonly flushes: Flush[] = [];
  private readonly sender: Sender | null;
  private readonly flights: Flights;
  private readonly counters: { bytesWritten: number };

  constructor(private readonly options: OutputOptions) {
    this.sender = options.sender;
    this.flights = options.flights;
    this.counters = options.counters;
  }

  /** Latin-1 text of at most some hundred bytes. */
  text(text: string): void {
    this.makeRoom(text.length);
    this.scratchEnd += this.scratch.write(text, this.scratchEnd, 'latin1');
  }

  /** Bytes that never change, at most COPY_BYTES_MAX. */
  constant(bytes: Buffer): void {
    if (this.scratchEnd !== this.scratchStart) {
      this.copy(bytes);
      return;
    }
    this.pendingBytes += bytes.length;
    this.gatheredBytes += bytes.length;
    this.pieces.push(bytes);
  }

  /** A copy of `bytes`, at most COPY_BYTES_MAX. */
  copy(bytes: Uint8Array): void {
    this.makeRoom(bytes.length);
    this.scratch.set(bytes, this.scratchEnd);
    this.scratchEnd += bytes.length;
  }

  /** Room for `bytes` more bytes, to be filled at once; at most COPY_BYTES_MAX. */
  room(bytes: number): Buffer {
    this.makeRoom(bytes);
    const start = this.scratchEnd;
    this.scratchEnd += bytes;
    return this.scratch.subarray(start, this.scratchEnd);
  }

  /** Bytes of the arena, which must stay as they are until the flight has ended. */
  arena(bytes: Buffer): void {
    if (bytes.length <= COPY_BYTES_MAX) {
      this.copy(bytes);
      return;
    }
    this.endScratch();
    this.pendingBytes += bytes.length;
    this.gatheredBytes += bytes.length;
    // From here on, and not only from the flush: what is gathered may be evicted by the next command of the same packet.
    if (this.generation < 0 && !this.isClosed) this.generation = this.flights.begin();
    this.pieces.push(bytes);
  }

  /** Hands what was gathered to the socket. */
  flush(): void {
    this.endScratch();
    const { pieces, gatheredBytes, generation } = this;
    if (pieces.length === 0) return;
    this.pieces = [];
    this.gatheredBytes = 0;
    this.generation = -1;
    const sent = this.sendAtOnce(pieces);
    if (sent === gatheredBytes) this.endFlight(generation);
    else this.sendRest(pieces, sent, gatheredBytes - sent, generation);
  }

  /** Nothing may overtake what is on its way through the socket. */
  private sendAtOnce(pieces: readonly Uint8Array[]): number {
    if (this.sender === null || this.flushes.length > 0) return 0;
    const sent = this.sender.send(pieces);
    this.pendingBytes -= sent;
    this.counters.bytesWritten += sent;
    return sent;
  }

  private sendRest(pieces: readonly Uint8Array[], from: number, bytes: number, generation: number): void {
    const { sink, nowMs } = this.options;
    const flush = { bytes, startedMs: nowMs(), generation };
    this.flushes.push(flush);
    sink.cork();
    let start = 0;
    for (const [i, piece] of pieces.entries()) {
      const end = start + piece.length;
      const rest = from > start ? piece.subarray(from - start) : piece;
      if (i === pieces.length - 1) sink.write(rest, () => this.taken(flush));
      else if (end > from) sink.write(rest);
      start = end;
    }
    sink.uncork();
  }

  /** When the oldest flush that is still under way was handed to the socket, or null. */
  get waitingSinceMs(): number | null {
    return this.flushes[0]?.startedMs ?? null;
  }

  /** To be called when the socket has closed: nothing is under way any more. */
  closed(): void {
    this.isClosed = true;
    for (const flush of this.flushes.splice(0)) this.endFlight(flush.generation);
    this.endFlight(this.generation);
    this.generation = -1;
    this.pendingBytes = 0;
  }

  private taken(flush: Flush): void {
    if (this.flushes[0] !== flush) return; // closed() was faster
    this.flushes.shift();
    this.pendingBytes -= flush.bytes;
    this.endFlight(flush.generation);
    this.counters.bytesWritten += flush.bytes;
    this.options.onTaken();
  }

  private endFlight(generation: number): void {
    if (generation >= 0) this.flights.end(generation);
  }

  private makeRoom(bytes: number): void {
    this.pendingBytes += bytes;
    this.gatheredBytes += bytes;
    if (this.scratchEnd + bytes <= this.scratch.length) return;
    this.endScratch();
    this.scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    this.scratchStart = 0;
    this.scratchEnd = 0;
  }

  private endScratch(): void {
    if (this.scratchEnd === this.scratchStart) return;
    const bytes = this.scratch.subarray(this.scratchStart, this.scratchEnd);
    this.scratchStart = this.scratchEnd;
    this.pieces.push(bytes);
  }
}
