import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  FAILURE_REASONS,
  type GuestMemory,
  native,
  type ReaderOptions,
  type ReaderPath,
  type ReaderResult,
} from '../../src/native.js';
import { CHUNK_KEY_PREFIX, chunkKey, placeItem, recordOf, wholeArena } from './items.js';
import { randomBytes } from './seed.js';

const PAGE = 1_054_720;
export const CHUNK = 4096;

/** An image, cut into chunks, as the reader gets it told. */
export interface Image {
  chunks: Buffer[];
  records: Buffer;
  bytes: Buffer;
}

export function makeImage(count: number, lastBytes = CHUNK): Image {
  const chunks = Array.from({ length: count }, (_, i) => randomBytes(i === count - 1 ? lastBytes : CHUNK));
  return { chunks, records: Buffer.concat(chunks.map(recordOf)), bytes: Buffer.concat(chunks) };
}

export function planOf(
  image: Image,
  destination: GuestMemory,
  paths: ReaderPath[],
  sources?: Uint16Array,
): ReaderOptions {
  return {
    destination,
    destinationOffset: 0,
    imageBytes: image.bytes.length,
    chunkBytes: CHUNK,
    records: image.records,
    sources: sources ?? new Uint16Array(image.chunks.length),
    paths,
    keyPrefix: CHUNK_KEY_PREFIX,
    readTimeoutMs: 400,
    threads: 2,
  };
}

export function failuresOf(result: ReaderResult): Record<number, string> {
  const failures: Record<number, string> = {};
  for (let i = 0; i < result.failures.length; i += 2) {
    failures[result.failures[i]!] = FAILURE_REASONS[result.failures[i + 1]!]!;
  }
  return failures;
}

export async function localRegionWith(image: Image) {
  const region = new (native().Region)({ arenaBytes: PAGE * 8, tableItems: 4096, hugepages: false });
  const arena = wholeArena(region);
  const placed = image.chunks.map((chunk, i) => {
    const item = placeItem(arena, i * 4480, chunkKey(recordOf(chunk)), chunk);
    region.link(item.slot);
    return item;
  });
  const path = join(tmpdir(), `volley-test-${process.pid}-${randomUUID().slice(0, 8)}.sock`);
  region.share(path);
  const mapped = await native().openLocalRegion(path, 1000);
  return {
    region,
    arena,
    placed,
    mapped,
    close: () => {
      mapped.close();
      region.close();
    },
  };
}

/** A server that speaks a script instead of memcached, to inject faults. */
export async function scriptedNode(script: (socket: Socket, keys: string[]) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        const keys = text.slice(0, end).split(' ').slice(1);
        text = text.slice(end + 2);
        script(socket, keys);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  };
  const path: ReaderPath = { kind: 'tcp', host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  return { path, stop };
}

export function answers(image: Image): Map<string, Buffer> {
  return new Map(image.chunks.map((chunk) => [chunkKey(recordOf(chunk)), chunk]));
}

export function answerOf(key: string, chunk: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`VALUE ${key} 0 ${chunk.length}\r\n`), chunk, Buffer.from('\r\n')]);
}
