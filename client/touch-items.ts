import type { VolleyError } from '../src/errors.js';
import { settler, throwIfAborted } from './deadline.js';
import { refusalError } from './node-errors.js';
import { type NodeAddress, TextConnection } from './text-connection.js';

const BATCH = 1024;

/**
 * Gives items of one node another exptime, pipelined. When it settles, and the node has not failed, no touch is on its
 * way any more.
 * @param keyOf the key of item i, 0 <= i < count
 * @param seconds until they expire; 0 = never
 * @returns which items were not there
 * @throws VolleyError of the node when it fails, ERR_VOLLEY_ABORTED
 */
export async function touchItems(
  node: NodeAddress,
  count: number,
  keyOf: (item: number) => string,
  seconds: number,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<number[]> {
  const absent: number[] = [];
  if (count === 0) return absent;
  const connection = await TextConnection.connect(node, timeoutMs, signal);
  try {
    for (let start = 0; start < count; start += BATCH) {
      throwIfAborted(signal);
      const batch = Math.min(BATCH, count - start);
      const keys = Array.from({ length: batch }, (_, i) => keyOf(start + i));
      for (const index of await touchBatch(connection, keys, seconds)) absent.push(start + index);
    }
    return absent;
  } finally {
    connection.close();
  }
}

async function touchBatch(
  connection: TextConnection,
  keys: readonly string[],
  seconds: number,
): Promise<number[]> {
  const { promise, resolve, reject } = settler<number[]>();
  const absent: number[] = [];
  let answered = 0;
  connection.send({
    what: 'touch',
    buffers: [Buffer.from(keys.map((key) => `touch ${key} ${seconds}\r\n`).join(''), 'latin1')],
    onError: reject as (error: VolleyError) => void,
    onLine: (line) => {
      if (line !== 'TOUCHED' && line !== 'NOT_FOUND') throw refusalError(connection.node, 'touch', line);
      if (line === 'NOT_FOUND') absent.push(answered);
      answered++;
      if (answered === keys.length) resolve(absent);
      return answered === keys.length;
    },
  });
  return promise;
}
