import type { VolleyError } from '../src/errors.js';
import { settler, throwIfAborted } from './deadline.js';
import { nodeProtocol } from './node-errors.js';
import { type NodeAddress, TextConnection } from './text-connection.js';

const BATCH = 1024;

/**
 * Deletes items of one node, pipelined.
 * @returns how many of them were there
 * @throws VolleyError of the node when it fails
 */
export async function deleteItems(
  node: NodeAddress,
  keys: readonly string[],
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<number> {
  if (keys.length === 0) return 0;
  const connection = await TextConnection.connect(node, timeoutMs, signal);
  try {
    let deleted = 0;
    for (let start = 0; start < keys.length; start += BATCH) {
      throwIfAborted(signal);
      deleted += await deleteBatch(connection, keys.slice(start, start + BATCH));
    }
    return deleted;
  } finally {
    connection.close();
  }
}

async function deleteBatch(connection: TextConnection, keys: readonly string[]): Promise<number> {
  const { promise, resolve, reject } = settler<number>();
  let answered = 0;
  let deleted = 0;
  connection.send({
    what: 'delete',
    buffers: [Buffer.from(keys.map((key) => `delete ${key}\r\n`).join(''), 'latin1')],
    onError: reject as (error: VolleyError) => void,
    onLine: (line) => {
      if (line !== 'DELETED' && line !== 'NOT_FOUND') throw nodeProtocol(connection.node, 'delete', line);
      if (line === 'DELETED') deleted++;
      answered++;
      if (answered === keys.length) resolve(deleted);
      return answered === keys.length;
    },
  });
  return promise;
}
