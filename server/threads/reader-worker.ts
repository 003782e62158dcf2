import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { VolleyError } from '../../src/errors.js';
import type { FromThread, ThreadSetup, ToThread } from './messages.js';
import type { SharedBoard } from './shared-board.js';

const START_TIMEOUT_MS = 10_000;
/** Milliseconds after which a thread that has ended is started again. */
const RESTART_MS = 1000;
/** Milliseconds without a heartbeat after which a thread is taken for hung. */
const SILENT_MS_MAX = 10_000;
/** Of the time between two checks, at most so much counts: where the main thread did not run, the whole process may have stood still. */
const CHECK_MS_MAX = 2000;

export interface ReaderWorkerOptions {
  setup: ThreadSetup;
  board: SharedBoard;
  onMessage: (event: FromThread) => void;
  /** The thread has ended though nobody wanted that: its connections are closed, another one will take its place. */
  onLost: (reason: string) => void;
  /** Milliseconds of a clock that never goes back. */
  nowMs: () => number;
}

/** Keeps one reader thread alive: starts it, ends it when it hangs, and starts it again. */
export class ReaderWorker {
  /** The thread, from its start to its end. */
  private worker: Worker | null = null;
  private isReady = false;
  private isStopping = false;
  private restarting: NodeJS.Timeout | undefined;
  private heartbeat = 0;
  private silentMs = 0;
  private checkedMs = 0;
  private fault = '';

  constructor(private readonly options: ReaderWorkerOptions) {}

  /** Whether clients can be given to it. */
  get isUp(): boolean {
    return this.isReady;
  }

  /** Resolves when the thread serves. @throws VolleyError ERR_VOLLEY_SETUP when it does not within 10 s */
  async start(): Promise<void> {
    const deadline = new AbortController();
    try {
      const isReady = await Promise.race([
        this.spawn(),
        delay(START_TIMEOUT_MS, false, { signal: deadline.signal }),
      ]);
      if (isReady) return;
      const words = `a reader thread did not start${this.fault && `: ${this.fault}`}; run the node with -t 1`;
      throw new VolleyError('ERR_VOLLEY_SETUP', words);
    } finally {
      deadline.abort();
    }
  }

  /** Resolves to whether the thread is ready; false when it has ended. */
  private async spawn(): Promise<boolean> {
    const { setup, onMessage } = this.options;
    const worker = new Worker(new URL('./reader-main.js', import.meta.url), { workerData: setup });
    this.worker = worker;
    this.silentMs = 0;
    this.checkedMs = this.options.nowMs();
    this.fault = '';
    return new Promise((resolve) => {
      worker.on('message', (event: FromThread) => {
        if (event.event !== 'ready') {
          onMessage(event);
          return;
        }
        this.isReady = true;
        resolve(true);
      });
      worker.on('error', (error) => {
        this.fault = error.message;
      });
      worker.on('exit', () => {
        this.ended();
        resolve(false);
      });
    });
  }

  private ended(): void {
    const wasReady = this.isReady;
    this.worker = null;
    this.isReady = false;
    if (this.isStopping) return;
    // Nothing of it can be under way any more: its sockets are closed.
    this.options.board.announce(this.options.setup.thread, 0);
    if (wasReady) this.options.onLost(this.fault || 'it has hung for 10 s');
    this.restartLater();
  }

  private restartLater(): void {
    this.restarting = setTimeout(() => {
      // Where the system has no thread to give: later, perhaps.
      this.spawn().catch(() => this.restartLater());
    }, RESTART_MS);
  }

  tell(message: ToThread): void {
    this.worker?.postMessage(message);
  }

  /** To be called once a second at least: ends the thread when it does nothing at all any more. */
  check(): void {
    const { board, setup, nowMs } = this.options;
    const heartbeat = board.heartbeat(setup.thread);
    const now = nowMs();
    const sinceMs = Math.min(now - this.checkedMs, CHECK_MS_MAX);
    this.silentMs = heartbeat === this.heartbeat ? this.silentMs + sinceMs : 0;
    this.checkedMs = now;
    this.heartbeat = heartbeat;
    if (this.silentMs < SILENT_MS_MAX) return;
    this.silentMs = 0;
    void this.worker?.terminate();
  }

  /** Ends the thread, and with it its connections. */
  async stop(): Promise<void> {
    this.isStopping = true;
    clearTimeout(this.restarting);
    await this.worker?.terminate();
  }
}
