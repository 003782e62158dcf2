import { spawn } from 'node:child_process';
import { once } from 'node:events';
import memjs from 'memjs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StorageNode } from '../server/index.js';

const test = suite('clients that others wrote');

/** What memjs offers beyond what Volley itself uses of it. */
interface WholeClient {
  set(key: string, value: Buffer | string, options: { expires?: number }): Promise<boolean>;
  get(key: string): Promise<{ value: Buffer | null; flags: Buffer | null }>;
  add(key: string, value: Buffer | string, options: object): Promise<boolean>;
  replace(key: string, value: Buffer | string, options: object): Promise<boolean>;
  delete(key: string): Promise<boolean>;
  increment(
    key: string,
    by: number,
    options: { initial?: number },
  ): Promise<{ success: boolean; value: number }>;
  decrement(
    key: string,
    by: number,
    options: { initial?: number },
  ): Promise<{ success: boolean; value: number }>;
  append(key: string, value: string): Promise<boolean>;
  prepend(key: string, value: string): Promise<boolean>;
  touch(key: string, expires: number): Promise<boolean>;
  flush(): Promise<Record<string, boolean>>;
  stats(callback: (error: Error | null, server: string, stats: Record<string, string>) => void): void;
  statsWithKey(
    key: string,
    callback: (error: Error | null, server: string, stats: Record<string, string>) => void,
  ): void;
  close(): void;
}

const node = new StorageNode({ port: 0, local: 'off', memoryBytes: 64 * 1024 * 1024 });
let client: WholeClient;

test('they connect', async () => {
  await node.start();
  const server = new memjs.Server('127.0.0.1', node.port, undefined, undefined, {
    timeout: 5,
    conntimeout: 5,
  });
  client = new memjs.Client([server], { retries: 1 }) as unknown as WholeClient;
});

test('memjs stores, reads, counts and deletes', async () => {
  assert.is(await client.set('a', 'hello', {}), true);
  assert.is((await client.get('a')).value?.toString(), 'hello');
  assert.is((await client.get('missing')).value, null);
  assert.is(await client.add('a', 'x', {}), false);
  assert.is(await client.add('b', 'x', { expires: 100 }), true);
  assert.is(await client.replace('c', 'x', {}), false);
  assert.is(await client.replace('b', 'y', {}), true);
  assert.is(await client.append('a', ' world'), true);
  assert.is(await client.prepend('a', '!'), true);
  assert.is(
    (await client.get('a')).value?.toString(),
    'hello world!',
    'memjs 1.3.2 sends an append for a prepend',
  );
  assert.is((await client.increment('n', 5, { initial: 7 })).value, 7);
  assert.is((await client.increment('n', 5, {})).value, 12);
  assert.is((await client.decrement('n', 50, {})).value, 0);
  assert.is(await client.touch('a', 100), true);
  assert.is(await client.touch('missing', 100), false);
  assert.is(await client.delete('a'), true);
  assert.is(await client.delete('a'), false);
});

test('memjs stores and reads a thousand chunks at once, whole', async () => {
  const chunk = (i: number) => Buffer.alloc(32_768, `${i}/`);
  const all = Array.from({ length: 1000 }, (_, i) => i);
  const stored = await Promise.all(all.map((i) => client.set(`volley:c:${i}`, chunk(i), {})));
  assert.ok(stored.every((each) => each));
  const read = await Promise.all(all.map((i) => client.get(`volley:c:${i}`)));
  assert.ok(read.every(({ value }, i) => value?.equals(chunk(i))));
});

test('memjs reads stats and stats volley', async () => {
  const read = (ask: (callback: (error: Error | null, server: string, stats: object) => void) => void) =>
    new Promise<Record<string, string>>((resolve, reject) => {
      ask((error, _server, stats) => (error ? reject(error) : resolve(stats as Record<string, string>)));
    });
  const stats = await read((callback) => client.stats(callback));
  assert.is(stats.pid, String(process.pid));
  const volley = await read((callback) => client.statsWithKey('volley', callback));
  assert.match(volley.epoch!, /^[0-9a-f]{16}$/);
  assert.is(volley.transports, 'tcp');
});

test('memjs flushes', async () => {
  await client.set('a', '1', {});
  await client.flush();
  assert.is((await client.get('a')).value, null);
  client.close();
});

test('memccapable finds nothing to complain of', async () => {
  const child = spawn('memccapable', ['-h', '127.0.0.1', '-p', String(node.port)]);
  const killer = setTimeout(() => child.kill('SIGKILL'), 30_000);
  let told = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes) => {
      told += bytes;
    });
  }
  const [code] = await once(child, 'close');
  clearTimeout(killer);
  assert.is(told.match(/\[pass\]/g)?.length, 54, told);
  assert.is(code, 0);
});

test('they leave', async () => {
  await node.stop();
});

test.run();
