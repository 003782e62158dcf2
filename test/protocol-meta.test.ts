import { once } from 'node:events';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StorageNode } from '../server/index.js';
import { LoneSession, seeded } from './support/lone-session.js';
import { Memcached } from './support/memcached.js';
import { CAS, MetaLines } from './support/meta-lines.js';

const test = suite('meta protocol');

const SEEDS = 40;
const LINES_PER_SEED = 100;
const SENTINEL = 'mn\r\n';
const ANSWER_TIMEOUT_MS = 5000;

const node = new StorageNode({ port: 0, local: 'off', memoryBytes: 16 * 1024 * 1024, quarantineMs: 0 });
// Its LRU thread holds on to items now and then, which makes counting forget whether they were read or stale.
const memcached = new Memcached('-o', 'no_lru_maintainer');

/** One of the two servers, asked a command at a time. */
class Side {
  private readonly socket: Socket;
  private received = '';
  /** The cas uniques that it told, in order of appearance. */
  private readonly seen: string[] = [];

  constructor(where: NetConnectOpts) {
    this.socket = connect(where);
    this.socket.setNoDelay(true).setEncoding('latin1');
    this.socket.on('data', (text: string) => {
      this.received += text;
    });
  }

  async ask(line: string): Promise<string> {
    const latest = this.seen.at(-1) ?? '999999';
    this.socket.write(`${line.replace(CAS, latest)}${SENTINEL}`, 'latin1');
    while (!this.received.endsWith('MN\r\n')) {
      await once(this.socket, 'data', { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    }
    const answer = this.received;
    this.received = '';
    return this.normalized(answer);
  }

  /**
   * Cas uniques become the order in which they appeared, times what both servers can agree on: exp= of `me` without its
   * sign, which memcached has the other way round before 1.6.38; and the size that 1.6.38 tells with the answer that nothing
   * was stored.
   */
  private normalized(answer: string): string {
    return answer
      .replace(/^((?:HD|VA|EX|NS|NF).*? c|ME .* cas=|VALUE \S+ \d+ \d+ )(\d+)/gm, (_, head, cas) => {
        if (cas !== '0' && !this.seen.includes(cas)) this.seen.push(cas);
        return `${head}#${cas === '0' ? 0 : this.seen.indexOf(cas) + 1}`;
      })
      .replace(/^((?:HD|VA).*? l)\d+/gm, '$1~')
      .replace(/^((?:HD|VA).*? t)(\d+)/gm, (_, head, left) => `${head}${roughly(Number(left))}`)
      .replace(/ exp=-?(\d+) la=\d+/, (_, left) => ` exp=±${roughly(Number(left))} la=~`)
      .replace(/^((?:EX|NS|NF).*?) s\d+/gm, '$1')
      .replace(/ cls=\d+ size=\d+/, '');
  }

  close(): void {
    this.socket.destroy();
  }
}

/** What is left of the times that MetaLines draws, some seconds later; memcached tells 2^32 - n for what has expired. */
function roughly(seconds: number): string {
  if (seconds > 2 ** 31) return '0';
  return seconds <= 1 ? String(seconds) : `~${Math.ceil(seconds / 10) * 10}`;
}

const here = () => ({ host: '127.0.0.1', port: node.port });
const there = () => ({ path: memcached.path });

test('it starts', async () => {
  await node.start();
  await memcached.ready();
});

test('every command is answered as stock memcached answers it, whatever came before', async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const lines = new MetaLines(seeded(seed));
    const sides = [new Side(there()), new Side(here())] as const;
    for (const side of sides) await side.ask('flush_all\r\n');
    const asked: string[] = [];
    for (let i = 0; i < LINES_PER_SEED; i++) {
      const line = lines.next();
      asked.push(line);
      const [expected, actual] = await Promise.all([sides[0].ask(line), sides[1].ask(line)]);
      assert.is(actual, expected, `seed ${seed}, behind ${JSON.stringify(asked.slice(-12))}`);
    }
    for (const side of sides) side.close();
  }
});

function ask(text: string, next?: () => number): string {
  const lone = new LoneSession('text');
  lone.feed(Buffer.from(text, 'latin1'), next);
  return lone.answers().toString('latin1');
}

test('the answers do not depend on how the bytes are cut', () => {
  const lines = new MetaLines(seeded(7));
  const conversation = Array.from({ length: 300 }, () => lines.next().replace(CAS, '3')).join('');
  const whole = ask(conversation);
  assert.ok(whole.length > 1000);
  assert.is(
    ask(conversation, () => 1),
    whole,
  );
  for (let seed = 1; seed <= 20; seed++) {
    const random = seeded(seed);
    const cut = ask(conversation, () => Math.ceil(random() * 200));
    assert.is(cut, whole, `seed ${seed}`);
  }
});

test('a key that would break a line is told in base64, however it came', () => {
  // "a\r\nb"; vivified and counted items are those of which memcached forgets that.
  assert.is(ask('mg YQ0KYg== b k N0\r\nme YQ0KYg== b\r\n').split('\r\n')[0], 'HD kYQ0KYg== b W');
  assert.is(ask('ma YQ0KYg== b N0\r\nmg YQ0KYg== b k v\r\n'), 'HD\r\nVA 1 kYQ0KYg== b\r\n0\r\n');
  assert.match(ask('ms YQ0KYg== 1 b\r\nx\r\nme YQ0KYg== b\r\n'), /^HD\r\nME YQ0KYg== exp=-1 [^\r]*\r\n$/);
});

test("me prints what is left of an item's lifetime, and -1 for one without an end", () => {
  assert.match(ask('ms left 1 T60\r\nx\r\nme left\r\n'), /^HD\r\nME left exp=(60|59) /);
  assert.match(ask('ms lasting 1\r\nx\r\nme lasting\r\n'), /^HD\r\nME lasting exp=-1 /);
});

test('an ma sets the exptime of a number that needs more digits than before, too', () => {
  assert.is(
    ask('set n 0 0 1\r\n9\r\nma n T100 t\r\nmg n t v\r\n'),
    'STORED\r\nHD t100\r\nVA 2 t100\r\n10\r\n',
  );
});

test('an opaque that is too long is refused before anything is done', () => {
  const refusal = 'CLIENT_ERROR opaque token too long\r\n';
  assert.is(ask(`mg n N0 O${'o'.repeat(32)}\r\nmg n\r\n`), `${refusal}EN\r\n`);
  assert.is(ask(`mg n O${'o'.repeat(31)}\r\n`), `EN O${'o'.repeat(31)}\r\n`);
});

test('an HTTP request closes the connection without a word', () => {
  const lone = new LoneSession('text');
  lone.feed(Buffer.from('POST / HTTP/1.1\r\nHost: x\r\n\r\nset a 0 0 1\r\nx\r\n'));
  assert.is(lone.answers().length, 0);
  assert.ok(lone.session.ended);
});

test('what operates a memcached and has no meaning here is refused in a line', () => {
  const told = ask(
    'watch fetchers\r\nshutdown\r\ncache_memlimit 4\r\ncache_memlimit 64\r\ncache_memlimit 2000000000\r\ncache_memlimit x\r\n' +
      'slabs reassign 1 2\r\nslabs automove 1\r\nslabs automove x\r\nlru tune 10 25 0.1 2.0\r\nlru bogus\r\n' +
      'lru_crawler enable\r\nlru_crawler crawl all\r\nlru_crawler crawl x\r\nlru_crawler tocrawl 5\r\nshutdown noreply\r\n',
  );
  assert.equal(told.split('\r\n'), [
    'CLIENT_ERROR watch commands not allowed',
    'ERROR: shutdown not enabled',
    'MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m',
    'MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust',
    'MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes',
    'ERROR',
    'CLIENT_ERROR slab reassignment disabled',
    'CLIENT_ERROR slab reassignment disabled',
    'CLIENT_ERROR bad command line format',
    'CLIENT_ERROR lru tuning not available',
    'ERROR',
    'OK',
    'OK',
    'BADCLASS invalid class id',
    'CLIENT_ERROR lru crawler tuning not available',
    '',
  ]);
});

test('it stops', async () => {
  await node.stop();
  await memcached.stop();
});

test.run();
