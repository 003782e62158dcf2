import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { descriptorOf } from '../server/socket-descriptor.js';
import { native, type Poller } from '../src/native.js';

const test = suite('receiving from many sockets');

const BUFFER_BYTES = 64 << 10;

/** Pairs of connected sockets, and a poller that receives for one end of each. */
class Pairs {
  readonly heard = new Map<number, string>();
  readonly over: number[] = [];
  readonly broken: number[] = [];
  /** Sockets told of in each turn. */
  readonly turns: number[] = [];
  readonly clients: Socket[] = [];
  readonly accepted: Socket[] = [];
  readonly poller: Poller;
  private readonly buffer = Buffer.alloc(BUFFER_BYTES);
  private readonly received: Uint32Array;

  private constructor(
    private readonly server: Server,
    perTurn: number,
  ) {
    this.received = new Uint32Array(3 * perTurn);
    this.poller = new (native().Poller)(this.buffer, this.received, (count) => this.take(count));
  }

  static async make(count: number, perTurn = 64): Promise<Pairs> {
    const server = createServer({ pauseOnConnect: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const pairs = new Pairs(server, perTurn);
    const { port } = server.address() as { port: number };
    for (let i = 0; i < count; i++) {
      const came = new Promise<Socket>((resolve) => server.once('connection', resolve));
      const client = connect(port, '127.0.0.1');
      client.on('error', () => {});
      pairs.clients.push(client);
      pairs.accepted.push(await came);
      pairs.watch(i);
    }
    return pairs;
  }

  watch(i: number): void {
    this.poller.add(descriptorOf(this.accepted[i]!), i);
  }

  ignore(i: number): void {
    this.poller.remove(descriptorOf(this.accepted[i]!));
  }

  private take(count: number): void {
    this.turns.push(count);
    for (let at = 0; at < 3 * count; at += 3) {
      const [index, start, end] = this.received.subarray(at, at + 3) as unknown as [number, number, number];
      if (start >= end) {
        (start === end ? this.over : this.broken).push(index);
        this.ignore(index);
      } else {
        this.heard.set(index, (this.heard.get(index) ?? '') + this.buffer.toString('latin1', start, end));
      }
    }
  }

  async until(isSo: () => boolean): Promise<void> {
    for (let i = 0; i < 500 && !isSo(); i++) await delay(10);
    assert.ok(isSo(), 'it has come to that within 5 s');
  }

  close(): void {
    this.poller.close();
    for (const socket of [...this.clients, ...this.accepted]) socket.destroy();
    this.server.close();
  }
}

test('what many send at once is told in few turns, each its own', async () => {
  const pairs = await Pairs.make(100);
  for (const [i, client] of pairs.clients.entries()) client.write(`from ${i}`);
  await pairs.until(() => pairs.heard.size === 100);
  for (let i = 0; i < 100; i++) assert.is(pairs.heard.get(i), `from ${i}`);
  assert.ok(pairs.turns.length < 50, `${pairs.turns.length} turns`);
  pairs.close();
});

test('whoever sends without end does not keep others from their turn', async () => {
  const pairs = await Pairs.make(3, 1);
  const much = 'x'.repeat(4 << 20);
  pairs.clients[0]!.write(much);
  pairs.clients[1]!.write(much);
  pairs.clients[2]!.write('a word');
  await pairs.until(() => pairs.heard.has(2));
  assert.ok(pairs.heard.get(0)!.length < much.length || pairs.heard.get(1)!.length < much.length);
  await pairs.until(
    () => pairs.heard.get(0)?.length === much.length && pairs.heard.get(1)?.length === much.length,
  );
  pairs.close();
});

test('a socket is not read from while it is not watched, and nothing is lost meanwhile', async () => {
  const pairs = await Pairs.make(2);
  pairs.ignore(0);
  pairs.clients[0]!.write('later');
  pairs.clients[1]!.write('now');
  await pairs.until(() => pairs.heard.has(1));
  await delay(50);
  assert.not.ok(pairs.heard.has(0));
  pairs.watch(0);
  await pairs.until(() => pairs.heard.get(0) === 'later');
  pairs.close();
});

test('the end of what a client sends is told behind its last bytes, and a connection that breaks as one', async () => {
  const pairs = await Pairs.make(2);
  pairs.clients[0]!.end('the last');
  pairs.clients[1]!.resetAndDestroy();
  await pairs.until(() => pairs.over.length === 1 && pairs.broken.length === 1);
  assert.is(pairs.heard.get(0), 'the last');
  assert.equal([...pairs.over, ...pairs.broken], [0, 1]);
  pairs.close();
});

test('sockets that are closed, and a poller that is, are not told of any more', async () => {
  const pairs = await Pairs.make(2);
  pairs.clients[0]!.write('unheard');
  pairs.accepted[0]!.destroy();
  pairs.clients[1]!.write('heard');
  await pairs.until(() => pairs.heard.get(1) === 'heard');
  assert.not.ok(pairs.heard.has(0));
  pairs.poller.close();
  pairs.poller.close();
  pairs.clients[1]!.write('unheard');
  await delay(50);
  assert.is(pairs.heard.get(1), 'heard');
  pairs.close();
});

test('a socket that is watched already, what is no socket, and buffers that are too small are refused', async () => {
  const pairs = await Pairs.make(1);
  assert.throws(
    () => pairs.watch(0),
    (error: { code?: string }) => error.code === 'ERR_VOLLEY_USAGE',
  );
  assert.throws(
    () => pairs.poller.add(999_999, 0),
    (error: { code?: string }) => error.code === 'ERR_VOLLEY_USAGE',
  );
  assert.throws(() => pairs.poller.add(-1, 0), /descriptor/);
  const make = (bytes: number, elements: number) =>
    new (native().Poller)(Buffer.alloc(bytes), new Uint32Array(elements), () => {});
  assert.throws(() => make(1024, 3), /room/);
  assert.throws(() => make(BUFFER_BYTES, 2), /room/);
  make(BUFFER_BYTES, 3).close();
  pairs.close();
});

test.run();
