import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../src/root.js';
import { RawClient, until } from './support/memcached.js';

const test = suite('volley node');
const folder = mkdtempSync(join(tmpdir(), 'volley-command-'));
const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

class NodeProcess {
  out = '';
  err = '';
  readonly child: ChildProcess;
  private readonly closed: Promise<unknown[]>;

  constructor(...flags: string[]) {
    this.child = spawn(process.execPath, [join(ROOT, 'bin/volley'), 'node', ...flags]);
    children.add(this.child);
    this.child.stdout!.on('data', (bytes) => {
      this.out += bytes;
    });
    this.child.stderr!.on('data', (bytes) => {
      this.err += bytes;
    });
    this.closed = once(this.child, 'close');
  }

  async line(): Promise<string> {
    await until(() => this.out.includes('\n') || this.child.exitCode !== null, 'the first line');
    return this.out.split('\n')[0]!;
  }

  async exit(): Promise<number | string> {
    const [code, signal] = await this.closed;
    children.delete(this.child);
    return (code ?? signal) as number | string;
  }
}

test('it prints one line when it is ready, and ends with code 0 at SIGTERM and SIGINT', async () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const local = join(folder, 'a.sock');
    const node = new NodeProcess(
      '-p',
      '0',
      '-m',
      '2',
      '--local',
      local,
      '--name',
      'alpha',
      '--hugepages',
      'off',
    );
    const line = await node.line();
    const port = /^volley node alpha listening on 127\.0\.0\.1:(\d+), 2 MiB, local (.*)$/.exec(line)?.[1];
    assert.ok(port, line);
    assert.ok(existsSync(local));
    const client = new RawClient({ host: '127.0.0.1', port: Number(port) }).send('set a 0 0 1\r\nx\r\n');
    assert.is(await client.answer('\r\n'), 'STORED\r\n');
    node.child.kill(signal);
    assert.is(await node.exit(), 0, signal);
    assert.is(node.err, '');
    assert.not.ok(existsSync(local));
    await client.close();
  }
});

test('a SIGTERM in the middle of a store lets it be finished', async () => {
  const node = new NodeProcess('-p', '0', '-m', '2', '--local', 'off', '--json');
  const { port } = JSON.parse(await node.line());
  const client = new RawClient({ host: '127.0.0.1', port }).send('set a 0 0 10\r\nhalf');
  await until(() => client.socket.bytesWritten > 0, 'the bytes to be sent');
  const probe = new RawClient({ host: '127.0.0.1', port });
  await probe.send('stats\r\n').answer('END\r\n'); // by now the node has read both
  node.child.kill('SIGTERM');
  await probe.answer();
  client.send(' whole\r\n');
  assert.is(await client.answer(), 'STORED\r\n');
  assert.is(await node.exit(), 0);
});

test('--json prints one JSON line', async () => {
  const node = new NodeProcess('-p', '0', '-m', '2', '--local', 'off', '--json');
  const told = JSON.parse(await node.line());
  assert.is(told.event, 'listening');
  assert.is(told.address, '127.0.0.1');
  assert.is(told.pid, node.child.pid);
  assert.is(told.local, null);
  assert.match(told.epoch, /^[0-9a-f]{16}$/);
  assert.is(told.memoryBytes, 2 * 1024 * 1024);
  node.child.kill('SIGTERM');
  await node.exit();
  assert.is(node.out.split('\n').length, 2);
});

test('a port in use is one line and code 1', async () => {
  const first = new NodeProcess('-p', '0', '-m', '2', '--local', 'off', '--json');
  const { port } = JSON.parse(await first.line());
  const second = new NodeProcess('-p', String(port), '-m', '2', '--local', join(folder, 'b.sock'));
  assert.is(await second.exit(), 1);
  assert.is(second.out, '');
  assert.match(
    second.err,
    /^volley: cannot listen on 127\.0\.0\.1:\d+: something listens there already; .*\n$/,
  );
  first.child.kill('SIGTERM');
  assert.is(await first.exit(), 0);
});

test('wrong usage is code 2, and one line says what is wrong', async () => {
  const wrong: [string[], RegExp][] = [
    [['-m', 'lots'], /-m: "lots" is no size/],
    [['-m', '9999G'], /the memory \(-m\) is 10\.7 TB, but this machine has \d/],
    [['-I', '2M'], /item size limit/],
    [['-p', '70000'], /the port is 70000/],
    [['-c', 'x'], /whole number/],
    [['-l', 'example.invalid'], /is no IP address/],
    [['--hugepages', 'perhaps'], /auto, off/],
  ];
  for (const [flags, message] of wrong) {
    const node = new NodeProcess(...flags);
    assert.is(await node.exit(), 2, flags.join(' '));
    assert.match(node.err, message);
    assert.is(node.out, '');
  }
});

test('a verbose node goes on when nobody reads its stderr any more', async () => {
  const node = new NodeProcess('-p', '0', '-m', '2', '--local', 'off', '--json', '-v');
  const { port } = JSON.parse(await node.line()) as { port: number };
  node.child.stderr!.destroy();
  for (let round = 0; round < 3; round++) {
    const client = new RawClient({ host: '127.0.0.1', port });
    client.send('version\r\n');
    assert.match(await client.answer('\r\n'), /^VERSION /);
    await client.close();
  }
  node.child.kill('SIGTERM');
  assert.is(await node.exit(), 0);
});

test.run();
