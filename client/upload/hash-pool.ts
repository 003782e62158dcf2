import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type HashResult, runHashJob } from './hash-job.js';
import type { Piece } from './piece.js';

const WORKERS_MAX = 4;
/** Jobs that a worker has at hand, so that it never waits for the main thread. */
const JOBS_PER_WORKER = 2;
/** Images below this are hashed before a worker would have started (30 ms). */
const BYTES_WORTH_WORKERS = 8 * 1024 * 1024;

/** Is told when a piece's records are written, or why its data could not be read. */
export type OnHashed = (fault: string | null) => void;

interface Job {
  piece: Piece;
  onHashed: OnHashed;
}

interface PoolWorker {
  thread: Worker;
  ready: boolean;
  /** By id. */
  jobs: Map<number, Job>;
}

/**
 * Hashes pieces, off the main thread where that pays: workers are started by the first upload that is worth it, and
 * serve those that follow. They do not keep the process alive. Results come in any order.
 */
export class HashPool {
  readonly #waiting: Job[] = [];
  readonly #workers = new Set<PoolWorker>();
  #inline = false;
  #closed = false;
  #nextId = 0;

  /** Tells that an upload of that many bytes comes or has come so far. */
  expect(bytes: number): void {
    if (this.#closed || this.#workers.size > 0 || bytes < BYTES_WORTH_WORKERS) return;
    const count = Math.min(WORKERS_MAX, availableParallelism());
    for (let i = 0; i < count; i++) this.#start();
  }

  /** Hashes a piece. Nobody may touch it before `onHashed` has been called. */
  submit(piece: Piece, onHashed: OnHashed): void {
    if (this.#closed) {
      onHashed('the cluster was closed');
      return;
    }
    this.#waiting.push({ piece, onHashed });
    this.#schedule();
  }

  /** Ends the workers; an upload that is under way fails. */
  async close(): Promise<void> {
    this.#closed = true;
    const workers = [...this.#workers];
    await Promise.all(workers.map(({ thread }) => thread.terminate()));
    const jobs = [...this.#waiting.splice(0), ...workers.flatMap((worker) => [...worker.jobs.values()])];
    for (const { onHashed } of jobs) onHashed('the cluster was closed');
  }

  #start(): void {
    const thread = new Worker(new URL('./hash-worker.js', import.meta.url));
    const worker: PoolWorker = { thread, ready: false, jobs: new Map() };
    thread.unref();
    thread.on('message', (message: HashResult | 'ready') => {
      if (message === 'ready') worker.ready = true;
      else this.#finish(worker, message);
      this.#schedule();
    });
    thread.on('error', (error) => {
      this.#workers.delete(worker);
      for (const { onHashed } of worker.jobs.values()) onHashed(`a hashing thread broke: ${error.message}`);
      this.#schedule();
    });
    this.#workers.add(worker);
  }

  #finish(worker: PoolWorker, { id, fault }: HashResult): void {
    const job = worker.jobs.get(id)!;
    worker.jobs.delete(id);
    job.onHashed(fault);
  }

  /** Gives work to idle workers; while none of them is up, this thread hashes, a piece per turn of its loop. */
  #schedule(): void {
    let ready = false;
    for (const worker of this.#workers) {
      if (!worker.ready) continue;
      ready = true;
      while (worker.jobs.size < JOBS_PER_WORKER && this.#waiting.length > 0) {
        this.#give(worker, this.#waiting.shift()!);
      }
    }
    if (ready || this.#inline || this.#waiting.length === 0) return;
    this.#inline = true;
    setImmediate(() => {
      this.#inline = false;
      const job = this.#waiting.shift();
      job?.onHashed(runHashJob({ id: 0, ...jobOf(job.piece) }));
      this.#schedule();
    });
  }

  #give(worker: PoolWorker, job: Job): void {
    const id = this.#nextId++;
    worker.jobs.set(id, job);
    worker.thread.postMessage({ id, ...jobOf(job.piece) });
  }
}

function jobOf({ buffer, length, chunkBytes, fd, position }: Piece) {
  return { buffer, length, chunkBytes, fd, position };
}
