import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type HashResult, runHashJob } from './hash-job.js';
import type { Piece } from './piece.js';

const WORKERS_MAX = 4;
/** Jobs that a worker has at hand, so that it never waits for the main thread. */
const JOBS_PER_WORKER = 2;
/** Images below this are hashed before a worker would have started (30 ms). */
const BYTES_WORTH_WORKERS = 8 * 1024 * 1024;

interface PoolWorker {
  thread: Worker;
  ready: boolean;
  jobs: number;
}

/** Hashes pieces, off the main thread where that pays. Results come in any order. */
export class HashPool {
  readonly #onHashed: (piece: Piece, fault: string | null) => void;
  readonly #onError: (error: Error) => void;
  readonly #waiting: Piece[] = [];
  readonly #atWork = new Map<number, Piece>();
  #workers: PoolWorker[] = [];
  #inline = false;
  #closed = false;
  #bytes = 0;
  #nextId = 0;

  /**
   * @param onHashed is called with each piece when its records are written, or with why its data could not be read
   * @param onError is called when a worker breaks
   */
  constructor(onHashed: (piece: Piece, fault: string | null) => void, onError: (error: Error) => void) {
    this.#onHashed = onHashed;
    this.#onError = onError;
  }

  /** Tells that many bytes will come or have come, so that workers are started when they are worth it. */
  expect(bytes: number): void {
    if (this.#closed || this.#workers.length > 0 || bytes < BYTES_WORTH_WORKERS) return;
    const count = Math.min(WORKERS_MAX, availableParallelism());
    for (let i = 0; i < count; i++) this.#workers.push(this.#start());
  }

  submit(piece: Piece): void {
    this.#bytes += piece.length;
    this.expect(this.#bytes);
    this.#waiting.push(piece);
    this.#schedule();
  }

  /** Ends the workers. When this resolves, no thread touches a piece or a descriptor any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#workers.map(({ thread }) => thread.terminate()));
  }

  #start(): PoolWorker {
    const worker = {
      thread: new Worker(new URL('./hash-worker.js', import.meta.url)),
      ready: false,
      jobs: 0,
    };
    worker.thread.on('message', (message: HashResult | 'ready') => {
      if (message === 'ready') worker.ready = true;
      else this.#onResult(worker, message);
      this.#schedule();
    });
    worker.thread.on('error', this.#onError);
    return worker;
  }

  #onResult(worker: PoolWorker, result: HashResult): void {
    const piece = this.#atWork.get(result.id)!;
    this.#atWork.delete(result.id);
    worker.jobs--;
    if (!this.#closed) this.#onHashed(piece, result.fault);
  }

  /** Gives work to idle workers; until the first of them is up, this thread hashes, a piece per turn of its loop. */
  #schedule(): void {
    if (this.#closed) return;
    const ready = this.#workers.filter((worker) => worker.ready);
    for (const worker of ready) {
      while (worker.jobs < JOBS_PER_WORKER && this.#waiting.length > 0)
        this.#give(worker, this.#waiting.shift()!);
    }
    if (ready.length > 0 || this.#inline || this.#waiting.length === 0) return;
    this.#inline = true;
    setImmediate(() => {
      this.#inline = false;
      const piece = this.#closed ? undefined : this.#waiting.shift();
      if (piece) this.#onHashed(piece, runHashJob({ id: 0, ...jobOf(piece) }));
      this.#schedule();
    });
  }

  #give(worker: PoolWorker, piece: Piece): void {
    const id = this.#nextId++;
    this.#atWork.set(id, piece);
    worker.jobs++;
    worker.thread.postMessage({ id, ...jobOf(piece) });
  }
}

function jobOf({ buffer, length, chunkBytes, fd, position }: Piece) {
  return { buffer, length, chunkBytes, fd, position };
}
