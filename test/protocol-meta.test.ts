import { once } from 'node:events';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StorageNode } from '../server/index.js';
import { seeded } from './support/lone-session.js';
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

  /** Cas uniques become the order in which they appeared, times what both servers can agree on. */
  private normalized(answer: string): string {
    return answer
      .replace(/^((?:HD|VA|EX|NS|NF).*? c|ME .* cas=|VALUE \S+ \d+ \d+ )(\d+)/gm, (_, head, cas) => {
        if (cas !== '0' && !this.seen.includes(cas)) this.seen.push(cas);
        return `${head}#${cas === '0' ? 0 : this.seen.indexOf(cas) + 1}`;
      })
      .replace(/^((?:HD|VA).*? l)\d+/gm, '$1~')
      .replace(/^((?:HD|VA).*? t)(\d+)/gm, (_, head, left) => `${head}${roughly(Number(left))}`)
      .replace(/ exp=-(\d+) la=\d+/, (_, left) => ` exp=-${roughly(Number(left))} la=~`)
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

test('it stops', async () => {
  await node.stop();
  await memcached.stop();
});

test.run();
