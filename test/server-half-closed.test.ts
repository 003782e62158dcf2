// Clients that say all they have to say, close their side and read on, as `printf … | nc -N` does.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { StorageNode } from '../server/index.js';
import type { NodeOptions } from '../server/options.js';
import { request as packet, storeExtras } from './support/binary-packets.js';
import { makeCertificates } from './support/certificates.js';
import { Memcached, until } from './support/memcached.js';
import { askNode, RunningNodes, setting } from './support/running-nodes.js';

const test = suite('half-closed connections');
const MIB = 1024 * 1024;
const GETS = 14;
const ITEMS = 12_000;
/** How long a client does not read at first. */
const SLOW_MS = 300;
const certificates = makeCertificates();
const ca = readFileSync(certificates.ca);
const socketPath = join(tmpdir(), `volley-test-${process.pid}-half.sock`);
const nodes = new RunningNodes({ memoryBytes: 64 * MIB });

type Connector = (node: StorageNode) => Socket;
const plain: Connector = (node) => connect({ port: node.port, host: '127.0.0.1', allowHalfOpen: true });
const unix: Connector = () => connect({ path: socketPath, allowHalfOpen: true });
const secure: Connector = (node) => {
  const options: ConnectionOptions & { allowHalfOpen: boolean } = {
    port: node.port,
    host: '127.0.0.1',
    ca,
    allowHalfOpen: true,
  };
  return connectTls(options);
};

const WAYS: readonly [name: string, options: Partial<NodeOptions>, connector: Connector][] = [
  ['a plain socket', {}, plain],
  ['a unix socket', { socketPath }, unix],
  ['a reader thread', { threads: 3 }, plain],
  ['TLS', { tlsCert: certificates.cert, tlsKey: certificates.key }, secure],
];

const BIG = setting('big', 'x'.repeat(1_000_000));
const HIT = `${BIG.replace('set', 'VALUE').replace(' 0 0 ', ' 0 ')}END\r\n`;

/** What is answered to a client that says so much, closes its side, and begins to read a while later. */
async function answerTo(socket: Socket, request: string | Buffer, slowMs = SLOW_MS): Promise<string> {
  const parts: Buffer[] = [];
  socket.pause();
  socket.on('data', (bytes) => parts.push(bytes));
  socket.end(request);
  await delay(slowMs);
  socket.resume();
  await once(socket, 'end', { signal: AbortSignal.timeout(60_000) });
  socket.destroy();
  return Buffer.concat(parts).toString('latin1');
}

test.after.each(() => nodes.stop());

for (const [name, options, connector] of WAYS) {
  test(`over ${name} every command of a pipeline is answered, whatever the size`, async () => {
    const node = await nodes.start(options);
    const gets = 'get big\r\n'.repeat(GETS);
    assert.is(await answerTo(connector(node), BIG), 'STORED\r\n');
    const read = await answerTo(connector(node), `${gets}version\r\n`);
    assert.is(read.length, GETS * HIT.length + read.slice(GETS * HIT.length).length);
    assert.ok(read.startsWith(HIT.repeat(GETS)), 'all values came');
    assert.match(read.slice(GETS * HIT.length), /^VERSION .*\r\n$/);
    // Sets between them are the main thread's: a connection of a reader thread moves in the middle.
    const mixed = await answerTo(connector(node), `${gets}${setting('a', 'b')}${gets}get a\r\nquit\r\n`);
    assert.ok(mixed === `${HIT.repeat(GETS)}STORED\r\n${HIT.repeat(GETS)}VALUE a 0 1\r\nb\r\nEND\r\n`);
    assert.is(node.counters.currConnections, 0);
  });

  test(`over ${name} a listing comes whole`, async () => {
    const node = await nodes.start(options);
    const keys = Array.from({ length: ITEMS }, (_, i) => `key${i}`);
    assert.is(
      await answerTo(connector(node), keys.map((key) => setting(key, 'v')).join('')),
      'STORED\r\n'.repeat(ITEMS),
    );
    const listing = await answerTo(connector(node), 'lru_crawler metadump all\r\n');
    const lines = listing.split('\n');
    assert.equal(lines.slice(-2), ['END\r', '']);
    const told = lines.slice(0, -2).map((line) => /^key=(\S+) /.exec(line)?.[1]);
    assert.equal(told.sort(), keys.sort());
  });

  test(`over ${name} the binary protocol answers in full`, async () => {
    const node = await nodes.start(options);
    const value = 'y'.repeat(500_000);
    const set = packet({ opcode: 0x01, key: 'big', extras: storeExtras(), value });
    const get = packet({ opcode: 0x00, key: 'big' });
    const answer = await answerTo(connector(node), Buffer.concat([set, ...Array(GETS).fill(get)]));
    assert.is(answer.length, 24 + GETS * (24 + 4 + value.length));
  });

  test(`over ${name} a client that never reads is closed when its time is over`, async () => {
    const node = await nodes.start({ ...options, stallTimeoutMs: 1000 });
    await answerTo(connector(node), BIG, 0);
    const socket = connector(node);
    socket.on('error', () => {});
    socket.pause();
    socket.end('get big\r\n'.repeat(GETS));
    await until(() => node.counters.shedConnections > 0, 'the node to close it', 10_000);
    await until(() => node.counters.currConnections === 0, 'its end', 10_000);
    socket.destroy();
  });

  test(`over ${name} a command without its end is not carried out, and the connection ends at once`, async () => {
    const node = await nodes.start(options);
    for (const [request, answer] of [
      ['', ''],
      ['get a', ''],
      ['version\r\nset a 0 0 10\r\nabc', /^VERSION .*\r\n$/],
    ] as const) {
      const got = await answerTo(connector(node), request, 0);
      if (typeof answer === 'string') assert.is(got, answer);
      else assert.match(got, answer);
    }
    await until(() => node.counters.currConnections === 0, 'all connections to end');
    assert.is(node.counters.shedConnections, 0);
  });
}

test('a login that waits is answered, and what follows it is carried out', async () => {
  const { ALICE, authFile } = await import('./support/auth-file.js');
  const node = await nodes.start({ authFile: authFile() });
  const words = `${ALICE.user} ${ALICE.password}`;
  const login = `set x 0 0 ${words.length}\r\n${words}\r\n`;
  const answer = await answerTo(plain(node), `${login}${setting('a', 'b')}get a\r\n`, 0);
  assert.is(answer, 'STORED\r\nSTORED\r\nVALUE a 0 1\r\nb\r\nEND\r\n');
});

test('stock memcached answers the same', async () => {
  const stock = new Memcached('-I', '2m', '-m', '64');
  await stock.ready();
  try {
    const toStock = () => connect({ path: stock.path, allowHalfOpen: true });
    const node = await nodes.start();
    const request = `${BIG}${'get big\r\n'.repeat(GETS)}touch big 0\r\nget none`;
    assert.ok((await answerTo(toStock(), request)) === (await answerTo(plain(node), request)));
  } finally {
    await stock.stop();
  }
});

test('a client that leaves in the middle of an answer takes nothing with it', async () => {
  const node = await nodes.start({ threads: 2 });
  await askNode(node, BIG);
  for (let i = 0; i < 20; i++) {
    const socket = plain(node);
    socket.on('error', () => {});
    socket.end('get big\r\n'.repeat(GETS));
    await once(socket, 'data');
    socket.destroy();
  }
  await until(() => node.counters.currConnections === 0, 'all connections to end');
  assert.is(await askNode(node, 'get big\r\n'), HIT);
});

test.run();
