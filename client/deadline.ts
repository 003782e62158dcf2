import { VolleyError } from '../src/errors.js';
import { onAbort } from '../src/on-abort.js';

/** The error for work that the caller's AbortSignal ended. */
export function abortedError(signal: AbortSignal): VolleyError {
  return new VolleyError('ERR_VOLLEY_ABORTED', 'interrupted before it was done', { cause: signal.reason });
}

/** @throws VolleyError ERR_VOLLEY_ABORTED when the signal has fired */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(signal);
}

/**
 * Waits for `work`, but not longer than `timeoutMs` and not beyond the signal. Who calls it ends the work itself when
 * this rejects; how the work then settles is of no consequence.
 * @throws what `onTimeout` returns, or VolleyError ERR_VOLLEY_ABORTED
 */
export async function withDeadline<T>(
  work: Promise<T>,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  onTimeout: () => VolleyError,
): Promise<T> {
  const { promise, resolve, reject } = settler<T>();
  work.then(resolve, reject);
  if (signal?.aborted) reject(abortedError(signal));
  const timer = setTimeout(() => reject(onTimeout()), timeoutMs);
  const ignore = onAbort(signal, () => reject(abortedError(signal!)));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    ignore();
  }
}

/** A promise with its settling functions. */
export function settler<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
} {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}

/**
 * Runs `work` on every item, at most `limit` at a time, and keeps the order of the results. After a failure no more
 * work is begun; it rejects when none is under way any more.
 */
export async function mapLimited<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const lane = async () => {
    try {
      while (next < items.length) {
        const index = next++;
        results[index] = await work(items[index]!, index);
      }
    } finally {
      next = items.length;
    }
  };
  const lanes = Array.from({ length: Math.min(limit, items.length) }, lane);
  await allOf(lanes);
  return results;
}

/** Waits until all have settled. @throws what the first of them in the list was rejected with */
export async function allOf<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(work);
  return settled.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
}
