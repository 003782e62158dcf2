import type { NetConnectOpts } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StorageNode } from '../server/index.js';
import { OPCODE } from '../server/protocol/opcodes.js';
import { answers, countExtras, exptimeExtras, request, storeExtras } from './support/binary-packets.js';
import { seeded } from './support/lone-session.js';
import { Memcached, RawClient } from './support/memcached.js';

const test = suite('a node answers as stock memcached does');

/** With one thread, and with reader threads beside it. */
const nodes = [1, 3].map(
  (threads) => new StorageNode({ port: 0, local: 'off', memoryBytes: 16 * 1024 * 1024, threads }),
);
const memcached = new Memcached();

const LONG_KEY = 'k'.repeat(251);
const big = (bytes: number) => 'v'.repeat(bytes);
const keys = (count: number) => Array.from({ length: count }, (_, i) => `key${i}`).join(' ');

/** Each is sent on a connection of its own, to a server without items, and ends with a quit. */
const TEXT: Record<string, string> = {
  'storing and reading':
    'set a 0 0 3\r\nabc\r\nget a\r\nset b 4294967295 0 0\r\n\r\nget b a c\r\nget a a a\r\ngets a\r\n',
  'the conditions of stores':
    'add a 1 0 1\r\n1\r\nadd a 2 0 1\r\n2\r\nreplace b 0 0 1\r\n1\r\nreplace a 3 0 1\r\n2\r\nget a\r\nappend a 9 9 1\r\n3\r\n' +
    'prepend a 0 0 1\r\n1\r\nget a\r\nappend b 0 0 1\r\n1\r\nprepend b 0 0 1\r\n1\r\n',
  cas: 'cas a 0 0 1 1\r\nx\r\nset a 0 0 1\r\n1\r\ncas a 0 0 1 999999\r\nx\r\ncas a 0 0 1\r\ncas a 0 0 1 x\r\ncas a 0 0 1 -1\r\n',
  'a value without its end':
    'set a 0 0 3\r\nabc\r\nset a 0 0 3\r\nabcdefg\r\nget a\r\nset a 0 0 3\r\nab\r\nget a\r\nset a 0 0 3\r\nabc\nversion\r\nset a 0 0 3\r\nabc\rX\r\nget a\r\n',
  'bad store lines':
    `set a 0 0 -1\r\nset a 0 0 abc\r\nset a x 0 3\r\nset a 0 x 3\r\nset a -1 0 3\r\nset a 0 0 2147483646\r\nset a 0 0 3x\r\n` +
    `set ${LONG_KEY} 0 0 3\r\nset a 0 0\r\nset a 0 0 1 2 3\r\nset\r\nset a\r\nset a 0 99999999999999999999 3\r\n`,
  'numbers with signs and zeros':
    'set a 0 0 +3\r\nabc\r\nset b 0 0 03\r\nabc\r\nset c 007 0 3\r\nabc\r\nget a b c\r\n',
  noreply:
    'set a 0 0 3 noreply\r\nxyz\r\nget a\r\nset a 0 0 3 foo\r\nabc\r\nset a 0 0 3 noreply\r\nxyzq\r\nset a 0 0 x noreply\r\n' +
    'add a 0 0 1 noreply\r\n1\r\nincr a 1 noreply\r\ntouch a x noreply\r\nincr a x noreply\r\ndelete zz noreply\r\n' +
    'delete a 0 noreply\r\nget a\r\nflush_all noreply\r\nflush_all 0 noreply\r\nverbosity 0 noreply\r\nflush_all x noreply\r\n',
  'spaces and line ends': 'set  a  0 0  3 \r\nxyz\r\nget   a  \r\n get a\r\nget a\nset b 0 0 1\n1\r\nget b\n',
  'no commands': `get\r\nget \r\n\r\n\n \r\nx\r\nGET a\r\nget\ta\r\nbogus 1 2 3\r\n${'x'.repeat(2000)}\r\n`,
  'long keys': `delete ${LONG_KEY}\r\nincr ${LONG_KEY} 1\r\ntouch ${LONG_KEY} 1\r\n`,
  // Alone, for memcached forgets the answers to what was sent before these in the same packet.
  'a get of a long key': `get ${LONG_KEY}\r\n`,
  'a get of a long key among others': `get a ${LONG_KEY} b\r\n`,
  deleting:
    'set a 0 0 1\r\n1\r\ndelete a\r\ndelete a\r\nset a 0 0 1\r\n1\r\ndelete a 0\r\ndelete a 1\r\ndelete a b c\r\ndelete a 0 x\r\n' +
    'delete a b c d\r\ndelete\r\n',
  counting:
    'set n 0 0 2\r\n10\r\ndecr n 1\r\nget n\r\nincr n 1\r\nget n\r\nincr n 90\r\nget n\r\ndecr n 1000\r\nget n\r\nincr n x\r\n' +
    'incr n -1\r\nincr nothere 1\r\ndecr nothere 1\r\nincr n\r\nincr n 1 2 3\r\nincr n 18446744073709551615\r\n' +
    'incr n 18446744073709551616\r\nget n\r\n',
  'counting what is no number':
    'set n 0 0 3\r\n1 2\r\nincr n 1\r\nset n 0 0 0\r\n\r\nincr n 1\r\nset n 0 0 2\r\n-1\r\nincr n 1\r\nset n 0 0 2\r\n5x\r\n' +
    'incr n 1\r\nset n 0 0 2\r\n 5\r\nincr n 1\r\nget n\r\nset n 0 0 21\r\n000000000000000000001\r\nincr n 1\r\nget n\r\n',
  touching:
    'set a 5 0 1\r\n1\r\ntouch a 0\r\ntouch b 0\r\ntouch a x\r\ntouch a\r\ngat 0 a\r\ngats x a\r\ngat a\r\ngat 0\r\ngat\r\n' +
    'gat 100 a b\r\ntouch a -1\r\nget a\r\n',
  expiring:
    'set a 0 -1 1\r\n1\r\nget a\r\nset a 0 2592001 1\r\n1\r\nget a\r\nset a 0 100 1\r\n1\r\nget a\r\n',
  flushing:
    'set a 0 0 1\r\n1\r\nflush_all\r\nget a\r\nflush_all 0\r\nset a 0 0 1\r\n1\r\nget a\r\nflush_all x\r\nflush_all -1\r\n' +
    'get a\r\nflush_all 1 2 3\r\nset a 0 0 1\r\n1\r\nflush_all 100\r\nget a\r\n',
  'the rest':
    'verbosity\r\nverbosity 0\r\nverbosity x\r\nverbosity 0 1 2\r\nstats bogus\r\nstats reset\r\nlru_crawler\r\nlru_crawler metadump\r\n',
  'a value that is too large':
    `set a 0 0 1\r\n1\r\nset a 0 0 2000000\r\n${big(2_000_000)}\r\nget a\r\nadd b 0 0 1\r\n1\r\n` +
    `add b 0 0 2000000\r\n${big(2_000_000)}\r\nget b\r\nappend b 0 0 2000000\r\n${big(2_000_000)}\r\nget b\r\n` +
    `set b 0 0 2000000 noreply\r\n${big(2_000_000)}\r\nget b\r\n`,
  'many keys': `set key7 0 0 1\r\n7\r\nset key777 0 0 3\r\n777\r\nget ${keys(1000)}\r\ngets ${keys(10)}\r\n`,
  'values of many sizes': Array.from({ length: 40 }, (_, i) => {
    const bytes = Math.floor(1.4 ** i);
    return `set s${i} 0 0 ${bytes}\r\n${big(bytes)}\r\nget s${i}\r\n`;
  }).join(''),
  'values that look like commands': 'set a 0 0 13\r\nget b\r\nquit\r\n\r\nget a\r\n',
};

/** memcached 1.6.38 mostly pads a number that became shorter, as 1.6.18 always does and a node, too; but not each time. */
let isPadding = true;

/** Cas uniques are compared by whether they are equal to each other, not by their numbers. */
function normalized(answer: string): string {
  const seen: string[] = [];
  const padded = isPadding ? answer : answer.replace(/^(VALUE \S+ \d+) \d+\r\n(\d+) *\r$/gm, '$1 #\r\n$2\r');
  return padded.replace(/^(VALUE \S+ \d+ \d+) (\d+)\r$/gm, (_, head, cas) => {
    if (!seen.includes(cas)) seen.push(cas);
    return `${head} cas${seen.indexOf(cas)}\r`;
  });
}

/** Like assert.is, but tells only where two long texts begin to differ. */
function same(actual: string, expected: string, message: string): void {
  let at = 0;
  while (at < expected.length && actual[at] === expected[at]) at++;
  const part = (text: string) => JSON.stringify(text.slice(Math.max(0, at - 60), at + 60));
  const told = `${message}: from byte ${at} on ${part(actual)} instead of ${part(expected)}`;
  assert.ok(actual === expected, told);
}

async function talk(where: NetConnectOpts, pieces: Buffer[]): Promise<string> {
  await new RawClient(where).send('flush_all\r\nquit\r\n').answer();
  const client = new RawClient(where);
  for (const piece of pieces) {
    client.send(piece);
    if (pieces.length > 1) await new Promise(setImmediate);
  }
  return client.answer();
}

const here = (node: StorageNode) => ({ host: '127.0.0.1', port: node.port });
const there = () => ({ path: memcached.path });

test('it starts', async () => {
  for (const node of nodes) await node.start();
  await memcached.ready();
  isPadding = (await talk(there(), [Buffer.from('version\r\nquit\r\n')])).startsWith('VERSION 1.6.18');
});

for (const [topic, text] of Object.entries(TEXT)) {
  test(topic, async () => {
    const bytes = Buffer.from(`${text}quit\r\n`, 'latin1');
    const expected = normalized(await talk(there(), [bytes]));
    assert.ok(expected.length > 0);
    const random = seeded(text.length);
    const longest = Math.max(20, bytes.length / 50);
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const end = at + 1 + Math.floor(random() * longest);
      pieces.push(bytes.subarray(at, end));
      at = end;
    }
    for (const node of nodes) {
      same(normalized(await talk(here(node), [bytes])), expected, `whole, -t ${node.options.threads}`);
      same(normalized(await talk(here(node), pieces)), expected, `in pieces, -t ${node.options.threads}`);
    }
  });
}

test('the binary protocol', async () => {
  const bytes = Buffer.concat(
    [
      { opcode: OPCODE.flush },
      { opcode: OPCODE.set, key: 'a', value: 'hello', extras: storeExtras(0xcafe, 0), opaque: 5 },
      { opcode: OPCODE.get, key: 'a', opaque: 6 },
      { opcode: OPCODE.getK, key: 'a' },
      { opcode: OPCODE.get, key: 'b' },
      { opcode: OPCODE.getK, key: 'b' },
      { opcode: OPCODE.getQ, key: 'b' },
      { opcode: OPCODE.getKQ, key: 'a' },
      { opcode: OPCODE.add, key: 'a', value: 'x', extras: storeExtras() },
      { opcode: OPCODE.addQ, key: 'b', value: 'x', extras: storeExtras() },
      { opcode: OPCODE.replace, key: 'c', value: 'x', extras: storeExtras() },
      { opcode: OPCODE.replaceQ, key: 'b', value: 'y', extras: storeExtras() },
      { opcode: OPCODE.append, key: 'a', value: ' world' },
      { opcode: OPCODE.prepend, key: 'a', value: '> ' },
      { opcode: OPCODE.append, key: 'c', value: ' world' },
      { opcode: OPCODE.set, key: 'a', value: 'x', extras: storeExtras(), cas: 999999n },
      { opcode: OPCODE.set, key: 'c', value: 'x', extras: storeExtras(), cas: 999999n },
      { opcode: OPCODE.increment, key: 'n', extras: countExtras(1n, 41n, 0) },
      { opcode: OPCODE.increment, key: 'n', extras: countExtras(1n, 41n, 0) },
      { opcode: OPCODE.decrement, key: 'n', extras: countExtras(2n ** 63n, 0n, 0) },
      { opcode: OPCODE.increment, key: 'm', extras: countExtras(1n, 0n, 0xffffffff) },
      { opcode: OPCODE.increment, key: 'a', extras: countExtras(1n, 0n, 0) },
      { opcode: OPCODE.touch, key: 'a', extras: exptimeExtras(100) },
      { opcode: OPCODE.touch, key: 'q', extras: exptimeExtras(100) },
      { opcode: OPCODE.gat, key: 'a', extras: exptimeExtras(100) },
      { opcode: OPCODE.gatQ, key: 'q', extras: exptimeExtras(100) },
      { opcode: OPCODE.gatK, key: 'a', extras: exptimeExtras(0) },
      { opcode: OPCODE.set, key: 'huge', value: Buffer.alloc(2_000_000), extras: storeExtras() },
      { opcode: OPCODE.delete, key: 'a' },
      { opcode: OPCODE.delete, key: 'a' },
      { opcode: OPCODE.delete, key: 'n', cas: 999999n },
      { opcode: OPCODE.stat, key: 'reset' },
      { opcode: OPCODE.stat, key: 'bogus' },
      { opcode: 0x20 },
      { opcode: 0x45 },
      { opcode: OPCODE.noop, opaque: 0x12345678 },
      { opcode: OPCODE.quit },
    ].map(request),
  );
  const tell = async (where: NetConnectOpts) => {
    const told = answers(Buffer.from(await talk(where, [bytes]), 'latin1'));
    return told.map(({ cas, ...answer }) => ({ ...answer, hasCas: cas !== 0n }));
  };
  for (const node of nodes) assert.equal(await tell(here(node)), await tell(there()));
});

test('it stops', async () => {
  for (const node of nodes) await node.stop();
  await memcached.stop();
});

test.run();
