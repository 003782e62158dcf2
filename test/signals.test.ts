import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../src/root.js';
import { HOST } from './support/host.js';
import { TestProcess } from './support/processes.js';
import { ask, getItem, setItem } from './support/raw-client.js';

const test = suite('signals');
const folder = mkdtempSync(join(tmpdir(), 'volley-signals-'));
/** Accepts connections and never answers: a command that waits for it has begun. */
let mute: Server;
const sockets = new Set<Socket>();
let muteNode = '';

test.before(async () => {
  mute = createServer((socket) => sockets.add(socket.on('error', () => {}))).listen(0, HOST);
  await once(mute, 'listening');
  muteNode = `${HOST}:${(mute.address() as { port: number }).port}`;
});

test.after(() => {
  for (const socket of sockets) socket.destroy();
  mute.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Starts volley as a shell does: by the script's own first line. */
function volley(args: readonly string[], environment: NodeJS.ProcessEnv = {}): TestProcess {
  const PATH = `${dirname(process.execPath)}:${process.env.PATH}`;
  return new TestProcess(join(ROOT, 'bin', 'volley'), args, { PATH, HOME: folder, ...environment });
}

async function startNode(...args: string[]): Promise<{ node: TestProcess; port: number }> {
  const node = volley(['node', '-p', '0', '-m', '4', '--local', 'off', '--json', ...args]);
  await node.until('line of the node', () => node.stdout.includes('\n'));
  return { node, port: JSON.parse(node.stdout).port };
}

const debuggerOf = ({ stderr }: TestProcess) => /Debugger listening.*/.exec(stderr)?.[0];

test('a node ends gracefully at SIGUSR1, as memcached does, and its region file holds what was stored', async () => {
  const file = join('/dev/shm', `volley-signals-${process.pid}`);
  const first = await startNode('--region', file);
  await setItem(first.port, 'a', Buffer.from('kept'));
  try {
    first.node.signal('SIGUSR1');
    assert.is(await first.node.ended(), 0);
    assert.is(debuggerOf(first.node), undefined);
    const second = await startNode('--region', file);
    assert.equal(await getItem(second.port, 'a'), Buffer.from('kept'));
    second.node.signal('SIGUSR1');
    assert.is(await second.node.ended(), 0);
  } finally {
    rmSync(file, { force: true });
  }
});

test('a node without a region file, and one with reader threads, ends gracefully at SIGUSR1 too', async () => {
  const { node, port } = await startNode('-t', '3');
  await ask(port, 'version\r\n', '\r\n');
  node.signal('SIGUSR1');
  assert.is(await node.ended(), 0);
  assert.is(debuggerOf(node), undefined);
});

test('every other command ignores SIGUSR1', async () => {
  const image = join(folder, 'image');
  writeFileSync(image, 'x'.repeat(100_000));
  const commands = [
    ['upload', image],
    ['images'],
    ['rm', 'x'],
    ['load', 'x', '--out', join(folder, 'out')],
    ['boot', '--kernel', 'k', '--initrd', 'i'],
    ['stats'],
    ['doctor'],
  ];
  for (const args of commands) {
    const connected = once(mute, 'connection', { signal: AbortSignal.timeout(20_000) });
    const command = volley([...args, '--nodes', muteNode]);
    await connected;
    command.signal('SIGUSR1');
    await delay(100);
    command.signal('SIGUSR1');
    await delay(100);
    assert.is(command.child.signalCode, null, `${args[0]} was ended`);
    assert.is(debuggerOf(command), undefined, args[0]);
    await command.kill();
  }
});

test('a SIGUSR1 at any moment of the start opens no debugger', async () => {
  const began = performance.now();
  const { node } = await startNode();
  const startMs = performance.now() - began;
  await node.kill();
  const moments = Array.from({ length: 12 }, (_, i) => (i * startMs) / 10);
  for (const moment of moments) {
    const starting = volley(['node', '-p', '0', '-m', '4', '--local', 'off', '--fabric', 'off']);
    await delay(moment);
    starting.signal('SIGUSR1');
    await delay(100);
    assert.is(debuggerOf(starting), undefined, `after ${moment.toFixed(0)} ms`);
    await starting.kill();
  }
});

test('whoever asks for a debugger gets one', async () => {
  const node = volley(['node', '-p', '0', '-m', '4', '--local', 'off'], {
    NODE_OPTIONS: '--inspect=127.0.0.1:0',
  });
  await node.until('debugger', () => debuggerOf(node) !== undefined);
  await node.kill();
});

test.run();
