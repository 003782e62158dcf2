import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BUCKET_BYTES } from '../../src/native.js';
import { atLeast, below, type Figure, toTell } from '../support/figures.js';
import { StorageProcess } from '../support/storage-process.js';

const MEMORY_MIB = 8192;
const CHUNK_BYTES = 32 << 10;
const CHUNKS = (MEMORY_MIB * 2 ** 20) / CHUNK_BYTES;
/** Bytes of a slot for a chunk of 32 KiB: header, text with the key, value. */
const SLOT_BYTES = 32_960;

/**
 * What is new in JavaScript's heap has room that grows in steps with the traffic, by 7 MB while the node is filled, and not with
 * the chunks: held at its least it does not count as theirs.
 */
const YOUNG_HEAP_HELD = ['--max-semi-space-size=1'];

/** Stores chunks number `from` to `to`, pipelined; resolves when the node has taken all. */
async function fill(port: number, from: number, to: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  const ended = new AbortController();
  // A node that dies ends the waits below.
  socket.on('error', () => {}).on('close', () => ended.abort());
  const { signal } = ended;
  const value = Buffer.alloc(CHUNK_BYTES, 'v');
  for (let i = from; i < to; i++) {
    value.writeUInt32LE(i, 0);
    const key = `volley:c:${i.toString(16).padStart(32, '0')}`;
    const head = Buffer.from(`set ${key} 0 0 ${CHUNK_BYTES} noreply\r\n`);
    if (!socket.write(Buffer.concat([head, value, Buffer.from('\r\n')])))
      await once(socket, 'drain', { signal });
  }
  socket.write('version\r\n');
  await once(socket, 'data', { signal });
  socket.destroy();
}

async function stats(port: number): Promise<Map<string, string>> {
  const socket = connect(port, '127.0.0.1');
  socket.write('stats\r\nstats volley\r\nquit\r\n');
  let text = '';
  for await (const bytes of socket) text += bytes;
  return new Map([...text.matchAll(/STAT (\S+) (.*)\r/g)].map(([, name, value]) => [name!, value!]));
}

/** Resident bytes of a process: of the region, and of all else. */
function resident(pid: number): { region: number; process: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const bytes = (name: string) => 1024 * Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)![1]);
  return { region: bytes('RssShmem'), process: bytes('RssAnon') };
}

/**
 * A node of 8 GB, full of chunks of 32 KiB: how much of -m they are, what each takes beside its slot, and how long the node
 * takes to come back after a SIGKILL.
 */
export async function memory(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'volley-bench-'));
  const file = `/dev/shm/volley-bench-${process.pid}.region`;
  const start = () => {
    const more = ['--region', file, '--fabric', 'off'];
    const signal = AbortSignal.timeout(120_000);
    return StorageProcess.start(`${MEMORY_MIB}`, join(folder, 'socket'), signal, more, YOUNG_HEAP_HELD);
  };
  let node = await start();
  try {
    const port = () => Number(node.name.split(':')[1]);
    // What the process needs to work at all is there by then.
    await fill(port(), 0, CHUNKS / 4);
    const quarter = resident(node.pid);
    await fill(port(), CHUNKS / 4, CHUNKS + 1000);
    const told = await stats(port());
    const chunks = Number(told.get('curr_items'));
    const full = resident(node.pid);
    const table = Number(told.get('bucket_count')) * BUCKET_BYTES + Number(told.get('table_offset'));
    const grown = Math.max(0, full.process - quarter.process) / (chunks - CHUNKS / 4);
    process.kill(node.pid, 'SIGKILL');
    await node.stop();
    const began = performance.now();
    node = await start();
    const seconds = (performance.now() - began) / 1000;
    const restored = Number((await stats(port())).get('restored_items'));
    const memoryBytes = MEMORY_MIB * 2 ** 20;
    return [
      atLeast(
        'chunks in a full 8 GB node',
        (chunks * CHUNK_BYTES) / 1e9,
        memoryBytes / 1e9,
        0.97,
        'GB',
        '-m',
      ),
      below('region outside the slots, per chunk', table / chunks, 64, 'B'),
      below('that and what the process grows by, per chunk', table / chunks + grown, 64, 'B'),
      toTell('slot beyond chunk and key', SLOT_BYTES - CHUNK_BYTES - 41, 'B'),
      atLeast('items back after SIGKILL', restored, chunks, 1, '', 'acknowledged'),
      toTell('from start to listening with them', seconds, 's'),
    ];
  } finally {
    await node.stop();
    rmSync(file, { force: true });
    rmSync(folder, { recursive: true, force: true });
  }
}
