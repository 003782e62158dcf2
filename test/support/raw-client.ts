import { once } from 'node:events';
import { connect } from 'node:net';
import { HOST } from './host.js';

/** Sends bytes of memcached's text protocol to a node and returns what comes back until `end` has come. */
export async function ask(port: number, request: Buffer | string, end: string): Promise<Buffer> {
  const socket = connect(port, HOST);
  const parts: Buffer[] = [];
  try {
    socket.write(request);
    while (!Buffer.concat(parts).includes(end)) {
      const [bytes] = await once(socket, 'data', { signal: AbortSignal.timeout(5000) });
      parts.push(bytes as Buffer);
    }
    return Buffer.concat(parts);
  } finally {
    socket.destroy();
  }
}

/** Stores a value behind the client's back. */
export async function setItem(port: number, key: string, value: Buffer): Promise<void> {
  const request = Buffer.concat([
    Buffer.from(`set ${key} 0 0 ${value.length}\r\n`),
    value,
    Buffer.from('\r\n'),
  ]);
  const answer = await ask(port, request, '\r\n');
  if (answer.toString() !== 'STORED\r\n') throw new Error(`set ${key}: ${answer}`);
}

/** The value under a key, or null. */
export async function getItem(port: number, key: string): Promise<Buffer | null> {
  const answer = await ask(port, `get ${key}\r\n`, 'END\r\n');
  const head = answer.indexOf('\r\n');
  return answer.length === 5 ? null : answer.subarray(head + 2, answer.length - 7);
}

export async function deleteItem(port: number, key: string): Promise<void> {
  await ask(port, `delete ${key}\r\n`, '\r\n');
}

/** One figure of a node's statistics. */
export async function statOf(port: number, name: string): Promise<number> {
  const answer = await ask(port, 'stats\r\n', 'END\r\n');
  return Number(new RegExp(`STAT ${name} (\\S+)`).exec(answer.toString('latin1'))![1]);
}
