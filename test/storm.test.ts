import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../src/root.js';
import { heldBy } from './support/held-resources.js';
import { HOST } from './support/host.js';
import { loadBytes, randomImage } from './support/images.js';
import { startVolleyNode, type TestNode, withCluster, withNodes } from './support/nodes.js';
import { TestProcess } from './support/processes.js';
import { setItem, statOf } from './support/raw-client.js';
import { SEED } from './support/seed.js';

/** The time of the storm itself; a whole minute: VOLLEY_STORM_SECONDS=60. */
const SECONDS = Number(process.env.VOLLEY_STORM_SECONDS ?? 6);
const CONNECTIONS = 1000;
const LIFE_MS = 3000;
const QUIET_MS = 2000;
const ANSWER_TIMEOUT_MS = 5000;
const SETTLE_TIMEOUT_MS = 10_000;
const VALUE_BYTES = 32 * 1024;
const MIB = 1024 * 1024;
/** What V8 may keep of its heap and the system of its buffers; a leak of all connections' would be far more. */
const GROWTH_MAX = 64 * MIB;
const test = suite('a storm of clients');

/** One client that sets and gets in turn, one at a time, and checks what it gets. */
class GoodClient {
  readonly latenciesMs: number[] = [];
  private readonly socket: Socket;
  private received: Buffer[] = [];
  private bytes = 0;

  constructor(port: number) {
    this.socket = connect({ port, host: HOST, noDelay: true });
    this.socket.on('data', (bytes) => {
      this.received.push(bytes);
      this.bytes += bytes.length;
    });
  }

  async work(ms: number): Promise<void> {
    const end = performance.now() + ms;
    for (let i = 0; performance.now() < end; i++) {
      const key = `good-${i % 20}`;
      const value = Buffer.alloc(VALUE_BYTES, `${i};`);
      const head = `VALUE ${key} 0 ${VALUE_BYTES}\r\n`;
      await this.timed(
        Buffer.concat([Buffer.from(`set ${key} 0 0 ${VALUE_BYTES}\r\n`), value, CRLF]),
        STORED,
      );
      await this.timed(Buffer.from(`get ${key}\r\n`), Buffer.concat([Buffer.from(head), value, CRLF, END]));
      await delay(1);
    }
  }

  private async timed(asked: Buffer, expected: Buffer): Promise<void> {
    const began = performance.now();
    this.socket.write(asked);
    while (this.bytes < expected.length) {
      await once(this.socket, 'data', { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    }
    this.latenciesMs.push(performance.now() - began);
    assert.ok(Buffer.concat(this.received).equals(expected), 'a wrong answer');
    this.received = [];
    this.bytes = 0;
  }

  close(): void {
    this.socket.destroy();
  }
}

const CRLF = Buffer.from('\r\n');
const STORED = Buffer.from('STORED\r\n');
const END = Buffer.from('END\r\n');

const percentile = (values: number[], part: number) =>
  values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * part)]!;

async function latencies(node: TestNode, ms: number): Promise<number[]> {
  const client = new GoodClient(node.port);
  try {
    await client.work(ms);
    return client.latenciesMs;
  } finally {
    client.close();
  }
}

async function settled(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + SETTLE_TIMEOUT_MS;
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, what);
    await delay(50);
  }
}

/** Storms the node while a good client works. Returns that client's latencies. */
async function stormed(node: TestNode): Promise<number[]> {
  const file = join(ROOT, 'dist', 'test', 'support', 'storm-process.js');
  const args = [node.port, CONNECTIONS, LIFE_MS, SEED % 1_000_000].map(String);
  const storm = new TestProcess(process.execPath, [file, ...args]);
  try {
    await settled(
      'the storm begins',
      async () => (await statOf(node.port, 'curr_connections')) > CONNECTIONS / 2,
    );
    const during = await latencies(node, SECONDS * 1000);
    storm.child.stdin!.end();
    assert.is(await storm.ended(), 0, storm.stderr);
    const report = JSON.parse(storm.stdout) as { connections: number; counts: Record<string, number> };
    console.log(storm.stdout.trim());
    assert.ok(report.connections > CONNECTIONS * 0.7, `only ${report.connections} connections at a time`);
    return during;
  } finally {
    await storm.kill();
  }
}

test('a good client is served throughout, and afterwards the node is as it was', async () => {
  const start = () => startVolleyNode('-m', '256', '-c', '4000');
  await withNodes([start], async (node) => {
    for (let i = 0; i < 10; i++) await setItem(node.port, `storm-${i}`, Buffer.alloc(VALUE_BYTES, 'x'));
    await latencies(node, 500); // code is compiled, pages are touched
    const quiet = await latencies(node, QUIET_MS);
    const connections = await statOf(node.port, 'curr_connections');
    const before = heldBy(node.process.pid);
    const during = await stormed(node);

    const [quietMs, duringMs] = [percentile(quiet, 0.99), percentile(during, 0.99)];
    const gone = async () => (await statOf(node.port, 'curr_connections')) <= connections;
    await settled('connections are gone', gone);
    await settled(
      'the quarantine is empty',
      async () => (await statOf(node.port, 'slots_quarantined')) === 0,
    );
    await settled(
      'descriptors are closed',
      async () => heldBy(node.process.pid).descriptors <= before.descriptors + 1,
    );
    const grown = () => heldBy(node.process.pid).anonymousBytes - before.anonymousBytes;
    await settled('memory returns', async () => grown() < GROWTH_MAX);
    const figures = `p99 ${quietMs.toFixed(2)} ms quiet, ${duringMs.toFixed(2)} ms in the storm of ${SECONDS} s`;
    console.log(`${figures}; ${during.length} answers; memory ${(grown() / MIB).toFixed(1)} MiB more`);
    assert.ok(duringMs < 10 * quietMs, figures);

    const image = randomImage(100, 5);
    await withCluster([node], async (cluster) => {
      await cluster.upload(image, { name: 'after the storm' });
      const { bytes } = await loadBytes(cluster, 'after the storm');
      assert.ok(bytes.equals(image), 'an upload and a load work');
    });
  });
});

test.run();
