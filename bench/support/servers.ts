import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { VolleyError } from '../../src/errors.js';
import { memcachedPath } from './memcached-path.js';
import { StorageProcess } from './storage-process.js';

const START_TIMEOUT_MS = 10_000;
let nodesStarted = 0;

/** A server that a measurement runs against, in a process of its own. */
export interface Server {
  host: string;
  port: number;
  /** `host:port` */
  name: string;
  pid: number;
  stop(): Promise<void>;
}

function serverOf(child: ChildProcess, port: number): Server {
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, 'close');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS);
    await closed;
    clearTimeout(timer);
  };
  return { host: '127.0.0.1', port, name: `127.0.0.1:${port}`, pid: child.pid!, stop };
}

/** Starts `volley node` on a free port. */
export async function startNode(memory: string, ...more: string[]): Promise<Server> {
  const socket = join(tmpdir(), `volley-bench-${process.pid}-${nodesStarted++}.sock`);
  const node = await StorageProcess.start(memory, socket, AbortSignal.timeout(START_TIMEOUT_MS), more);
  const port = Number(node.name.split(':')[1]);
  return { host: '127.0.0.1', port, name: node.name, pid: node.pid, stop: () => node.stop() };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Starts stock memcached as Debian ships it. `megabytes` is its -m, `more` are further options. */
export async function startMemcached(megabytes: number, ...more: string[]): Promise<Server> {
  const port = await freePort();
  const args = [
    '-u',
    'nobody',
    '-l',
    '127.0.0.1',
    '-p',
    String(port),
    '-U',
    '0',
    '-m',
    String(megabytes),
    ...more,
  ];
  const child = spawn(memcachedPath(), args, { stdio: 'inherit' });
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await answers(port))) {
    if (Date.now() > deadline) throw new VolleyError('ERR_VOLLEY_NODE_DOWN', 'stock memcached did not start');
    await sleep(20);
  }
  return serverOf(child, port);
}
