import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { StorageNode } from '../server/index.js';
import { seeded } from './support/lone-session.js';
import { clientOf, RunningNodes } from './support/running-nodes.js';

const test = suite('what reader threads send while the store changes');

const MIB = 1024 * 1024;
/** Seconds that each hammering takes; more by hand. */
const SECONDS = Number(process.env.VOLLEY_HAMMER_SECONDS ?? 1.5);
const READERS = 6;
const { start: started, stop } = new RunningNodes({ threads: 3, quarantineMs: 0 });
test.after.each(stop);

/** A value that tells its key, its version and its length all over. */
function valueBytes(key: string, version: number, bytes: number): Buffer {
  return Buffer.alloc(bytes, `<${key}:${version}:${bytes}>`);
}

/** What is wrong with a value, or null. */
function faultOf(key: string, value: Buffer): string | null {
  const told = /^<([^:>]+):(\d+):(\d+)>/.exec(value.toString('latin1', 0, 60));
  if (told === null) return `begins with ${JSON.stringify(value.toString('latin1', 0, 40))}`;
  const [, name, version, bytes] = told;
  if (name !== key || Number(bytes) !== value.length) return `of ${value.length} bytes is ${told[0]}`;
  return valueBytes(key, Number(version), value.length).equals(value)
    ? null
    : `is mixed with others: ${told[0]}…`;
}

/** A client that asks for keys without end, and looks at each value. */
class HammeringReader {
  hits = 0;
  misses = 0;
  fault: string | null = null;
  private received: Buffer[] = [];
  private asked: string[] = [];
  private found = 0;
  private readonly socket: Socket;
  private isStopped = false;

  constructor(
    port: number,
    private readonly keysToAsk: (isSlow: boolean) => string[],
    /** Milliseconds for which it does not read now and then. */
    private readonly sleepMs: number,
  ) {
    this.socket = connect(port, '127.0.0.1', () => this.ask());
    this.socket.on('data', (bytes) => this.take(bytes));
    this.socket.on('error', (error) => this.fail(error.message));
  }

  private fail(fault: string): void {
    this.fault ??= fault;
    this.stop();
  }

  stop(): void {
    this.isStopped = true;
    this.socket.destroy();
  }

  private ask(): void {
    this.asked = this.keysToAsk(this.sleepMs > 0);
    this.found = 0;
    this.socket.write(`get ${this.asked.join(' ')}\r\n`);
    if (this.sleepMs === 0 || Math.random() > 0.2) return;
    this.socket.pause();
    setTimeout(() => this.socket.resume(), this.sleepMs);
  }

  private take(bytes: Buffer): void {
    this.received.push(bytes);
    let all: Buffer = Buffer.concat(this.received);
    for (let rest = this.takeOne(all); rest !== null && !this.isStopped; rest = this.takeOne(all)) all = rest;
    this.received = [all];
  }

  /** Takes one value, or the end of an answer; returns what is behind it, or null when there is no more. */
  private takeOne(all: Buffer): Buffer | null {
    const lineEnd = all.indexOf('\r\n');
    if (lineEnd < 0) return null;
    const line = all.toString('latin1', 0, lineEnd);
    if (line === 'END') {
      this.misses += this.asked.length - this.found;
      this.ask();
      return all.subarray(lineEnd + 2);
    }
    const [, key, bytes] = /^VALUE (\S+) 0 (\d+)$/.exec(line) ?? [];
    if (key === undefined) {
      this.fail(`instead of an answer: ${line.slice(0, 80)}`);
      return null;
    }
    const end = lineEnd + 2 + Number(bytes);
    if (all.length < end + 2) return null;
    const fault = faultOf(key, all.subarray(lineEnd + 2, end));
    if (fault !== null) this.fail(`the value of ${key} ${fault}`);
    if (!this.asked.includes(key)) this.fail(`${key}, which was not asked for`);
    this.hits++;
    this.found++;
    return all.subarray(end + 2);
  }
}

interface Outcome {
  hits: number;
  misses: number;
}

/** Lets readers ask for keys while `write` is called again and again with a client. */
async function hammer(
  node: StorageNode,
  keysToAsk: (isSlow: boolean) => string[],
  write: (round: number) => string | Buffer,
): Promise<Outcome> {
  const readers = Array.from(
    { length: READERS },
    (_, i) => new HammeringReader(node.port, keysToAsk, i % 3 === 2 ? 30 : 0),
  );
  const writer = clientOf(node);
  const endMs = performance.now() + 1000 * SECONDS;
  let fault: string | null = null;
  for (let round = 0; performance.now() < endMs && fault === null; round++) {
    writer.send(write(round)).send('mn\r\n');
    await writer.answer('MN\r\n');
    fault = readers.find((reader) => reader.fault !== null)?.fault ?? null;
  }
  for (const reader of readers) reader.stop();
  await writer.close();
  assert.is(fault, null);
  const sum = (of: 'hits' | 'misses') => readers.reduce((total, reader) => total + reader[of], 0);
  return { hits: sum('hits'), misses: sum('misses') };
}

const store = (key: string, version: number, bytes: number) =>
  Buffer.concat([
    Buffer.from(`set ${key} 0 0 ${bytes}\r\n`),
    valueBytes(key, version, bytes),
    Buffer.from('\r\n'),
  ]);

test('values are whole and of their key while items are replaced, deleted, evicted, flushed and moved', async () => {
  const node = await started({ memoryBytes: 8 * MIB, onFull: 'evict' });
  const random = seeded(7);
  const keys = Array.from({ length: 300 }, (_, i) => `k${i}`);
  // Slow readers ask for more than the system takes without their reading it.
  const some = (isSlow: boolean) =>
    Array.from({ length: isSlow ? 400 : 8 }, () => keys[Math.floor(Math.random() * keys.length)]!);
  const write = (round: number) => {
    // Sizes change from time to time, so that pages go from one size class to another.
    const most = [60_000, 2000, 200_000][Math.floor(round / 40) % 3]!;
    const commands = Array.from({ length: 20 }, (_, i) => {
      const key = keys[Math.floor(random() * keys.length)]!;
      if (random() < 0.1) return Buffer.from(`delete ${key}\r\n`);
      return store(key, 20 * round + i, 20 + Math.floor(random() * most));
    });
    if (round % 200 === 199) commands.push(Buffer.from('flush_all\r\n'));
    return Buffer.concat(commands);
  };
  const { hits } = await hammer(node, some, write);
  assert.ok(hits > 300, `${hits} hits`);
  assert.ok(node.counters.movedConnections <= 1, 'readers stayed with their threads');
});

test('values are of their keys though each slot that is freed is used again at once', async () => {
  const node = await started({ memoryBytes: MIB });
  const bytes = 900;
  const filler = clientOf(node);
  let count = 0;
  for (let answer = 'STORED\r\n'; answer === 'STORED\r\n'; count++) {
    answer = await filler.send(store(`k${count}`, 0, bytes)).answer('\r\n');
  }
  // The last one found no room, and one slot is left to replace the others by.
  count -= 2;
  await filler.send(`delete k${count}\r\n`).answer('\r\n');
  await filler.close();
  assert.ok(count > 500);
  const some = () => Array.from({ length: 250 }, () => `k${Math.floor(Math.random() * count)}`);
  const write = (round: number) =>
    Buffer.concat(
      Array.from({ length: 100 }, (_, i) => store(`k${(37 * (100 * round + i)) % count}`, round, bytes)),
    );
  const { hits, misses } = await hammer(node, some, write);
  assert.ok(hits > 2000, `${hits} hits`);
  assert.is(misses, 0);
});

test('keys that are there are always found while they are replaced and the table grows', async () => {
  const node = await started({ memoryBytes: 64 * MIB });
  const keys = Array.from({ length: 4 }, (_, i) => `stable${i}`);
  const first = clientOf(node);
  await first
    .send(Buffer.concat(keys.map((key) => store(key, 0, 100))))
    .send('mn\r\n')
    .answer('MN\r\n');
  await first.close();
  const some = () => Array.from({ length: 200 }, () => keys[Math.floor(Math.random() * keys.length)]!);
  let made = 0;
  const write = (round: number) => {
    const replaced = Array.from({ length: 300 }, (_, i) =>
      store(keys[(300 * round + i) % keys.length]!, round, 60),
    );
    const others = Array.from({ length: 30 }, () => `set other${made++} 0 1 1\r\nx\r\n`).join('');
    return Buffer.concat([...replaced, Buffer.from(others)]);
  };
  const { hits, misses } = await hammer(node, some, write);
  assert.ok(hits > 2000, `${hits} hits`);
  assert.is(misses, 0);
});

test('a slot that is on its way to a client of a thread is not used again before the client has it', async () => {
  const node = await started({ memoryBytes: 12 * MIB });
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  const ask = async (bytes: Buffer | string) => {
    const client = clientOf(node).send('version\r\n').send(bytes);
    return client.send('quit\r\n').answer();
  };
  await ask(Buffer.concat(keys.map((key) => store(key, 1, MIB))));
  const slow = clientOf(node);
  slow.socket.pause();
  slow.send(`get ${keys.join(' ')}\r\n`);
  await delay(150);
  assert.is(node.counters.movedConnections, 1);
  await ask(keys.map((key) => `delete ${key}\r\n`).join(''));
  const others = clientOf(node);
  for (let i = 0; i < 12; i++) others.send(store(`other${i}`, 1, MIB));
  await delay(200);
  slow.socket.resume();
  const expected = keys.map(
    (key) => `VALUE ${key} 0 ${MIB}\r\n${valueBytes(key, 1, MIB).toString('latin1')}\r\n`,
  );
  assert.ok((await slow.answer('END\r\n')) === `${expected.join('')}END\r\n`);
  assert.is(
    await others.send('quit\r\n').answer(),
    'STORED\r\n'.repeat(12),
    'they were stored when slots were free',
  );
  await slow.close();
});

test.run();
