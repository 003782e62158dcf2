/** Words that each thread has to itself: a cache line, so that threads do not slow each other down. */
const LINE_WORDS = 16;
const GENERATION = 0;
const HELD_UP = 1;
const RECALLED = 2;
/** Of a thread's line. */
const ANNOUNCED = 0;
const HEARTBEAT = 1;
/** Of a connection. */
const CONNECTION_WORDS = 2;
const STATE = 0;
const SILENT_SECONDS = 1;

/** What a thread's connection is doing, by memcached's names; `waiting` is one that the thread has not taken up yet. */
const STATES = ['waiting', 'conn_read', 'conn_nread', 'conn_parse_cmd', 'conn_mwrite', 'conn_closing'];

/**
 * Words in memory that the threads of a node share, all of them read and written atomically: what the main thread tells its
 * reader threads, and what they tell it without being asked.
 */
export class SharedBoard {
  private readonly words: Int32Array;
  private readonly firstConnection: number;

  /** @param memory of another thread's board, or nothing to make one */
  constructor(
    threads: number,
    connections: number,
    readonly memory: SharedArrayBuffer = new SharedArrayBuffer(
      4 * (LINE_WORDS * (1 + threads) + CONNECTION_WORDS * connections),
    ),
  ) {
    this.words = new Int32Array(memory);
    this.firstConnection = LINE_WORDS * (1 + threads);
  }

  /** The generation that reads begin in now, as 32 bits that are not 0. */
  get generation(): number {
    return Atomics.load(this.words, GENERATION);
  }

  set generation(bits: number) {
    Atomics.store(this.words, GENERATION, bits);
  }

  /** Whether answers under way hold up memory that is wanted. */
  get isHeldUp(): boolean {
    return Atomics.load(this.words, HELD_UP) !== 0;
  }

  set isHeldUp(is: boolean) {
    Atomics.store(this.words, HELD_UP, Number(is));
  }

  /** Whether all commands are to be carried out by the main thread. */
  get isRecalled(): boolean {
    return Atomics.load(this.words, RECALLED) !== 0;
  }

  set isRecalled(is: boolean) {
    Atomics.store(this.words, RECALLED, Number(is));
  }

  /** The generation of the oldest read that a thread has under way, or 0. */
  announced(thread: number): number {
    return Atomics.load(this.words, this.lineOf(thread) + ANNOUNCED);
  }

  announce(thread: number, bits: number): void {
    Atomics.store(this.words, this.lineOf(thread) + ANNOUNCED, bits);
  }

  /** Changes while the thread lives. */
  heartbeat(thread: number): number {
    return Atomics.load(this.words, this.lineOf(thread) + HEARTBEAT);
  }

  beat(thread: number): void {
    Atomics.add(this.words, this.lineOf(thread) + HEARTBEAT, 1);
  }

  noteConnection(index: number, state: string, silentSeconds: number): void {
    const at = this.firstConnection + CONNECTION_WORDS * index;
    Atomics.store(this.words, at + STATE, Math.max(0, STATES.indexOf(state)));
    Atomics.store(this.words, at + SILENT_SECONDS, silentSeconds);
  }

  /** The state that was noted last, by memcached's names. */
  stateOf(index: number): string {
    const state = STATES[Atomics.load(this.words, this.firstConnection + CONNECTION_WORDS * index + STATE)]!;
    return state === 'waiting' ? 'conn_new_cmd' : state;
  }

  /** Whether its thread has not taken up the connection yet. */
  isWaiting(index: number): boolean {
    return Atomics.load(this.words, this.firstConnection + CONNECTION_WORDS * index + STATE) === 0;
  }

  silentSecondsOf(index: number): number {
    return Atomics.load(this.words, this.firstConnection + CONNECTION_WORDS * index + SILENT_SECONDS);
  }

  private lineOf(thread: number): number {
    return LINE_WORDS * (1 + thread);
  }
}
