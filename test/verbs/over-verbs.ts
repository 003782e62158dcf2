// Run in the verbs VM (scripts/in-verbs-vm): loads over real verbs beside ib_read_bw, and a boot hook's fill of a real
// kernel and initrd. Prints one JSON document; test/verbs-fabric.test.ts asserts on it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeGuestInitrd } from '../../bench/support/guest-initrd.js';
import { randomImage } from '../../bench/support/image.js';
import { Cluster, native } from '../../client/index.js';
import { prepareKernel } from '../../hypervisor-shim/index.js';
import { ROOT } from '../../src/root.js';
import { HOST } from '../support/host.js';
import { startVolleyNode, type TestNode, withNodes } from '../support/nodes.js';

const PROVIDER = process.env.VOLLEY_TEST_FABRIC ?? 'verbs';
const IMAGE_BYTES = 64 << 20;
const ROUNDS = 3;
const READS = 1000;
const READ_BYTES = 32 << 10;
const TRIES = 20;

const startNode = () =>
  startVolleyNode('-m', '128', '--fabric', PROVIDER, '--hugepages', 'off', '--table-items', '4096');

async function outputOf(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout!.on('data', (bytes) => {
    text += bytes;
  });
  await once(child, 'close');
  return text;
}

/** Bytes per second of `ib_read_bw -s 32768 -o 16` between two processes. */
async function readBandwidth(): Promise<number> {
  const args = ['-d', 'rxe0', '-F', '-s', String(READ_BYTES), '-o', '16', '-n', String(READS)];
  const server = spawn('ib_read_bw', args, { stdio: 'ignore' });
  try {
    for (let tries = 0; tries < TRIES; tries++) {
      // It may not be listening yet.
      await sleep(300);
      const output = await outputOf(
        spawn('ib_read_bw', [...args, HOST], { stdio: ['ignore', 'pipe', 'ignore'] }),
      );
      const row = new RegExp(`^\\s*${READ_BYTES}\\s+${READS}\\s+[\\d.]+\\s+([\\d.]+)`, 'm').exec(output);
      // Now and then it tells 0.
      if (Number(row?.[1]) > 0) return Number(row![1]) * 2 ** 20;
    }
    throw new Error('ib_read_bw did not measure anything');
  } finally {
    server.kill('SIGKILL');
  }
}

/** What all threads of a process have used of the processors. To ask the node itself would cost more than it tells. */
function cpuSeconds(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ns = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]),
  );
  return ns.reduce((sum, one) => sum + one, 0) / 1e9;
}

/** Loads of random data from one node, taking turns with ib_read_bw. */
async function measure(node: TestNode) {
  const cluster = await Cluster.connect({ nodes: [node.name], transport: 'fabric', timeoutMs: 10_000 });
  await cluster.upload(randomImage(IMAGE_BYTES), { name: 'random' });
  const image = await cluster.open('random');
  const destination = native().GuestMemory.create(IMAGE_BYTES);
  const load = () => cluster.load(image, { destination, readTimeoutMs: 20_000 });
  await load();
  const rounds = [];
  for (let round = 0; round < ROUNDS; round++) {
    const reference = await readBandwidth();
    const before = cpuSeconds(node.process.pid);
    const { seconds, retries, checksumFailures, nodes } = await load();
    const nodeCpuSeconds = cpuSeconds(node.process.pid) - before;
    const { transport, fallbackChunks } = nodes[0]!;
    const volley = IMAGE_BYTES / seconds;
    rounds.push({
      volley,
      reference,
      seconds,
      nodeCpuSeconds,
      retries,
      checksumFailures,
      transport,
      fallbackChunks,
    });
  }
  destination.close();
  await cluster.close();
  return rounds;
}

async function contentOf(source: AsyncIterable<Uint8Array> | Uint8Array | string): Promise<Buffer> {
  if (typeof source === 'string') return readFileSync(source);
  if (source instanceof Uint8Array) return Buffer.from(source);
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** What a boot hook does before it lets a guest go: kernel and initrd, from three nodes, into a file of guest memory. */
async function fill(nodes: TestNode[], folder: string) {
  const kernels = join(ROOT, '.cache', 'kernel', 'boot');
  const kernelFile = join(kernels, readdirSync(kernels).find((name) => name.startsWith('vmlinuz-'))!);
  const initrdFile = join(folder, 'initrd');
  await writeGuestInitrd(initrdFile, 4 << 20);
  const { source } = await prepareKernel(kernelFile);
  const kernel = await contentOf(source as Buffer);
  const initrd = readFileSync(initrdFile);
  const names = nodes.map(({ name }) => name);
  const cluster = await Cluster.connect({ nodes: names, transport: 'fabric', timeoutMs: 10_000 });
  await cluster.upload(kernel, { name: 'linux', kind: 'kernel' });
  await cluster.upload(initrd, { name: 'initrd' });
  const memoryFile = join(folder, 'guest-memory');
  const initrdAt = Math.ceil(kernel.length / 4096) * 4096;
  writeFileSync(memoryFile, '');
  truncateSync(memoryFile, initrdAt + initrd.length);
  const descriptor = openSync(memoryFile, 'r+');
  const destination = native().GuestMemory.map(descriptor, initrdAt + initrd.length);
  closeSync(descriptor);
  const options = { destination, destinationIsZero: true, readTimeoutMs: 20_000 };
  await cluster.load(await cluster.open('linux'), options);
  await cluster.load(await cluster.open('initrd'), { ...options, destinationOffset: initrdAt });
  destination.close();
  await cluster.close();
  const filled = readFileSync(memoryFile);
  const same = filled.subarray(0, kernel.length).equals(kernel) && filled.subarray(initrdAt).equals(initrd);
  return { bytes: kernel.length + initrd.length, same };
}

const folder = mkdtempSync(join(tmpdir(), 'over-verbs-'));
try {
  await withNodes([startNode, startNode, startNode], async (...nodes) => {
    const rounds = await measure(nodes[0]!);
    const filled = await fill(nodes, folder);
    process.stdout.write(`${JSON.stringify({ bytes: IMAGE_BYTES, rounds, filled })}\n`);
  });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
