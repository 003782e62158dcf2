import type { NetConnectOpts } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import memjs from 'memjs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StorageNode } from '../server/index.js';
import { OPCODE } from '../server/protocol/opcodes.js';
import { ALICE, authFile, BOB } from './support/auth-file.js';
import { answers, type Packet, request, storeExtras } from './support/binary-packets.js';
import { Memcached, RawClient, until } from './support/memcached.js';

const test = suite('authentication');

const file = authFile();
const node = new StorageNode({ port: 0, local: 'off', memoryBytes: 8 * 1024 * 1024, authFile: file });
const memcached = new Memcached('-Y', file);
/** Each client has an address of its own: those that give wrong passwords have to wait, and others shall not. */
let clients = 0;
const here = () => ({ host: '127.0.0.1', port: node.port, localAddress: `127.0.1.${++clients}` });
const there = () => ({ path: memcached.path });

const RIGHT = `set x 0 0 17\r\nalice open:sesame\r\n`;
const WRONG = `set x 0 0 10\r\nalice nope\r\n`;

/** Conversations in the text protocol: each part is sent when the part before it was answered. */
const TEXT: Record<string, string[]> = {
  'the right password': [RIGHT, 'get a\r\n', 'set a 0 0 1\r\n1\r\n', 'get a\r\n', 'delete a\r\n'],
  'the right password, with more behind it': [`${RIGHT}set a 0 0 1\r\n1\r\nget a\r\ndelete a\r\n`],
  'the right password of another user': [`set x 0 0 14\r\nbob pässwörd\r\n`, 'get a\r\n'],
  'a wrong password, then the right one': [WRONG, 'get a\r\n', RIGHT, 'get a\r\n'],
  'a user that there is not': ['set x 0 0 9\r\neve nope1\r\n'],
  'commands that are closed': [
    'version\r\n',
    'stats\r\n',
    'stats volley\r\n',
    'get a\r\n',
    'quit\r\n',
    RIGHT,
    'get a\r\n',
  ],
  'stores that are closed': [
    'add x 0 0 17\r\n',
    'set x 0 0 abc\r\n',
    'set x 0 0 -1\r\n',
    'set x 0 0\r\n',
    'set\r\n',
  ],
  'unusual sets that authenticate': ['set  y  a b  17 noreply\r\nalice open:sesame\r\n', 'get a\r\n'],
  'blanks around user and password': ['set x 0 0 20\r\n alice  open:sesame \r\n', 'get a\r\n'],
  'a third word': ['set x 0 0 19\r\nalice open:sesame x\r\n'],
  'a line that ends with LF alone': ['set x 0 0 17\nalice open:sesame\r\n', 'get a\r\n'],
  'a value that ends with LF alone': ['set x 0 0 17\r\nalice open:sesame\n\n', 'get a\r\n'],
  'a value that is no user and password': [
    'set x 0 0 5\r\nalice\r\n',
    'get a\r\n',
    'set x 0 0 0\r\n\r\n',
    RIGHT,
  ],
};

async function converse(where: NetConnectOpts, parts: readonly (string | Buffer)[]): Promise<string> {
  const client = new RawClient(where);
  let told = '';
  for (const part of parts) {
    const isLong = part.includes('delete');
    told += await client.send(part as Buffer).answer(isLong ? 'DELETED\r\n' : '\r\n');
  }
  await client.close();
  return told;
}

test('they start', async () => {
  await node.start();
  await memcached.ready();
});

for (const [topic, parts] of Object.entries(TEXT)) {
  test(`${topic}: a node answers as memcached -Y does`, async () => {
    const bytes = parts.map((part) => Buffer.from(part));
    const expected = await converse(there(), bytes);
    assert.ok(expected.length > 0);
    assert.is(await converse(here(), bytes), expected);
  });
}

test('the set that authenticates may come in pieces', async () => {
  const client = new RawClient(here());
  for (const byte of Buffer.from(`version\r\n${RIGHT}get a\r\n`)) {
    client.send(Buffer.from([byte]));
    await new Promise(setImmediate);
  }
  assert.is(await client.answer('END\r\n'), 'CLIENT_ERROR unauthenticated\r\nSTORED\r\nEND\r\n');
  await client.close();
});

test('lines and values of any length are given up early', async () => {
  const junk = await new RawClient(here()).send('x'.repeat(3000)).answer();
  assert.is(junk, 'CLIENT_ERROR unauthenticated\r\n');
  const value = await new RawClient(here()).send(`set x 0 0 100000000\r\n${'y'.repeat(5000)}`).answer();
  assert.is(value, 'CLIENT_ERROR unauthenticated\r\n');
});

const plain = (user: string, password: string, identity = ''): Packet => ({
  opcode: OPCODE.saslAuth,
  key: 'PLAIN',
  value: `${identity}\0${user}\0${password}`,
});
const right = plain(ALICE.user, ALICE.password);
const wrong = plain(ALICE.user, 'nope');
const noop: Packet = { opcode: OPCODE.noop };
const list: Packet = { opcode: OPCODE.saslMechanisms };
const version: Packet = { opcode: OPCODE.version };
const begin: Packet = { opcode: OPCODE.saslAuth, key: 'PLAIN' };
const step: Packet = { ...right, opcode: OPCODE.saslStep };
const DENIED = '20 Auth failure.';
const ACCEPTED = '0 Authenticated';
const INVALID = '4 Invalid arguments';
/** The node's own version takes its place in the answers. */
const VERSION = '0 VERSION';

/**
 * Requests of the binary protocol and what memcached 1.6.18 -S answered to them, with Cyrus SASL and a sasldb: status in
 * hex and text. `closed`: it then closed the connection.
 */
const BINARY: [topic: string, requests: Packet[], expected: string[], closed?: true][] = [
  ['mechanisms are listed', [list], ['0 PLAIN']],
  ['the right password', [list, right, noop], ['0 PLAIN', ACCEPTED, '0 ']],
  ['another user', [plain(BOB.user, BOB.password), noop], [ACCEPTED, '0 ']],
  ['a wrong password, then the right one', [wrong, right, noop], [DENIED, ACCEPTED, '0 ']],
  ['acting for oneself', [plain('alice', ALICE.password, 'alice'), noop], [ACCEPTED, '0 ']],
  ['acting for another', [plain('alice', ALICE.password, 'bob'), noop], [DENIED, DENIED], true],
  ['a message that is sent when asked for', [begin, step, noop], ['21 ', ACCEPTED, '0 ']],
  ['a step without a begin', [step], [DENIED]],
  ['a version between', [begin, version], ['21 ', VERSION]],
  [
    'other mechanisms',
    [
      { ...right, key: 'CRAM-MD5' },
      { ...right, key: 'X' },
    ],
    [DENIED, DENIED],
  ],
  ['a mechanism in small letters', [{ ...right, key: 'plain' }, noop], [ACCEPTED, '0 ']],
  ['a mechanism with a long name', [{ ...right, key: 'P'.repeat(40) }, right], [INVALID, ACCEPTED]],
  ['no mechanism', [{ ...right, key: '' }], [INVALID], true],
  ['a list with a body', [{ ...list, value: 'x' }], [INVALID], true],
  [
    'messages that are none',
    [
      { ...right, value: 'alice' },
      { ...right, value: '\0\0' },
    ],
    [DENIED, DENIED],
  ],
  ['a long message', [{ ...right, value: `\0alice\0${'x'.repeat(5000)}` }, right], [DENIED, ACCEPTED]],
  ['version is open to all', [version, noop], [VERSION, DENIED], true],
  ['noop', [noop], [DENIED], true],
  ['get', [{ opcode: OPCODE.get, key: 'k' }], [DENIED], true],
  ['quiet get', [{ opcode: OPCODE.getQ, key: 'k' }], [DENIED], true],
  ['set', [{ opcode: OPCODE.set, key: 'k', value: 'v'.repeat(100), extras: storeExtras() }], [DENIED], true],
  ['stats', [{ opcode: OPCODE.stat, key: 'volley' }], [DENIED], true],
  ['flush', [{ opcode: OPCODE.flush }], [DENIED], true],
  ['quit', [{ opcode: OPCODE.quit }], [DENIED], true],
  ['an opcode that there is not', [{ opcode: 0x77 }], [DENIED], true],
  ['a wrong password after the right one', [right, wrong, noop], [ACCEPTED, DENIED, DENIED], true],
  ['a list after the right password', [right, list, noop], [ACCEPTED, '0 PLAIN', DENIED], true],
];

for (const [topic, requests, expected, closed = false] of BINARY) {
  test(`${topic}: a node answers as memcached -S did`, async () => {
    const client = new RawClient(here());
    const told: string[] = [];
    for (const packet of requests) {
      const opaque = told.length + 1;
      client.send(request({ ...packet, opaque }));
      const bytes = await client.packet();
      const [answer] = answers(bytes);
      assert.is(answer!.opcode, packet.opcode);
      assert.is(answer!.opaque, opaque);
      const text = packet.opcode === OPCODE.version ? 'VERSION' : answer!.value;
      told.push(`${answer!.status.toString(16)} ${text}`);
    }
    assert.equal(told, expected);
    if (closed) await until(() => client.closed, 'the node to close');
    else assert.not.ok(client.closed);
    await client.close();
  });
}

test('a packet with an authentication and more is answered in order', async () => {
  const bytes = Buffer.concat(
    [list, right, { opcode: OPCODE.get, key: 'k' }, { opcode: OPCODE.quit }].map(request),
  );
  const whole = await new RawClient(here()).send(bytes).answer();
  const told = answers(Buffer.from(whole, 'latin1')).map(({ status, value }) => `${status} ${value}`);
  assert.equal(told, ['0 PLAIN', '0 Authenticated', '1 Not found', '0 ']);
});

/** memjs sees an error as a text where a server refuses the authentication. */
async function viaMemjs(user: string | undefined, password: string | undefined): Promise<unknown> {
  const server = new memjs.Server('127.0.0.1', node.port, user, password, { timeout: 5, conntimeout: 5 });
  const client = new memjs.Client([server], { retries: 1, logger: { log() {} } });
  try {
    await client.add(`memjs-${user}`, Buffer.from('value'), {});
    return (await client.get(`memjs-${user}`)).value?.toString();
  } catch (error) {
    return error;
  } finally {
    server.error(new Error('the test is over'));
  }
}

test('memjs works with user and password, and not with wrong ones or none', async () => {
  const failed = 'Memcached server authentication failed!';
  assert.is(await viaMemjs(ALICE.user, ALICE.password), 'value');
  assert.is(await viaMemjs(BOB.user, BOB.password), 'value');
  assert.is(await viaMemjs(ALICE.user, 'nope'), failed);
  assert.is(await viaMemjs(undefined, undefined), failed);
});

test('attempts and failures are counted', async () => {
  const before = { ...node.counters };
  await converse(here(), [Buffer.from(WRONG), Buffer.from(RIGHT)]);
  assert.is(node.counters.authCmds - before.authCmds, 2);
  assert.is(node.counters.authErrors - before.authErrors, 1);
  const told = await new RawClient(here()).send(`${RIGHT}stats\r\nstats settings\r\nquit\r\n`).answer();
  assert.match(told, /STAT auth_cmds \d+\r\nSTAT auth_errors \d+\r\n/);
  assert.match(told, /STAT auth_enabled_sasl yes\r\nSTAT auth_enabled_ascii yes\r\n/);
});

test('whoever guesses is slowed down, and those who do not notice nothing', async () => {
  const where = here();
  const beganMs = performance.now();
  const guesses = Array.from({ length: 20 }, async () => {
    const client = new RawClient(where);
    const told = await client.send(WRONG).answer('\r\n');
    await client.close();
    return told;
  });
  const friend = converse(here(), [Buffer.from(RIGHT)]).then((told) => ({
    told,
    ms: performance.now() - beganMs,
  }));
  const told = await Promise.all(guesses);
  const { told: friendTold, ms } = await friend;
  assert.is(friendTold, 'STORED\r\n');
  assert.ok(ms < 1500, `another address is served meanwhile, after ${ms} ms`);
  assert.ok(told.includes('CLIENT_ERROR authentication failure\r\n'));
  const unseen = told.filter((text) => text.startsWith('SERVER_ERROR too many wrong passwords'));
  assert.ok(unseen.length >= 5, `${unseen.length} were turned away unseen`);
  assert.ok(performance.now() - beganMs > 2500, 'the others had to wait for their turns');
});

test('an attempt that waits for its turn ends with its connection', async () => {
  const client = new RawClient(here());
  await client.send(WRONG).answer('\r\n');
  const { authCmds } = node.counters;
  client.send(WRONG);
  await delay(50);
  // Whoever only closes its side is still answered.
  client.socket.resetAndDestroy();
  await delay(400);
  assert.is(node.counters.authCmds, authCmds);
});

test('a client that does not authenticate in time is closed, one that has may idle', async () => {
  const memoryBytes = 8 * 1024 * 1024;
  const strict = new StorageNode({ port: 0, local: 'off', memoryBytes, authFile: file, loginTimeoutMs: 300 });
  await strict.start();
  const where = { host: '127.0.0.1', port: strict.port };
  const [silent, refused, known] = [new RawClient(where), new RawClient(where), new RawClient(where)];
  refused.send('get a\r\n');
  assert.is(await known.send(RIGHT).answer('\r\n'), 'STORED\r\n');
  await until(() => silent.closed && refused.closed, 'the node to close both');
  assert.not.ok(known.closed);
  assert.is(strict.counters.shedConnections, 2);
  await known.close();
  await strict.stop();
});

test('they stop', async () => {
  await node.stop();
  await memcached.stop();
});

test.run();
