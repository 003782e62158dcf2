import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { memcachedPath } from '../../bench/support/memcached-path.js';

const START_TIMEOUT_MS = 5000;
/** Much longer than anything takes, for the machine may be busy. */
const ANSWER_TIMEOUT_MS = 30_000;

/** Debian's stock memcached on a unix socket, to compare with. */
export class Memcached {
  readonly path = join(tmpdir(), `volley-test-${process.pid}-${randomBytes(4).toString('hex')}.sock`);
  private readonly child: ChildProcess;

  /** @param args more of its options, such as `-Y FILE` */
  constructor(...args: string[]) {
    this.child = spawn(memcachedPath(), ['-u', 'root', '-s', this.path, '-t', '1', '-m', '64', ...args], {
      stdio: 'ignore',
    });
    process.once('exit', () => this.child.kill('SIGKILL'));
  }

  async ready(): Promise<void> {
    for (let waitedMs = 0; !existsSync(this.path); waitedMs += 10) {
      if (waitedMs > START_TIMEOUT_MS) throw new Error('memcached does not start');
      await delay(10);
    }
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    await once(this.child, 'close');
    rmSync(this.path, { force: true });
  }
}

/** A client of either server that keeps everything it is answered. */
export class RawClient {
  closed = false;
  private received: Buffer[] = [];
  readonly socket: Socket;

  constructor(where: NetConnectOpts) {
    this.socket = connect(where);
    this.socket.setNoDelay(true);
    this.socket.on('data', (bytes) => {
      this.received.push(bytes);
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
    });
  }

  send(bytes: Buffer | string): this {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    return this;
  }

  /** What was answered until the server closed, or until the answer ends with `ending`. */
  async answer(ending?: string): Promise<string> {
    const isWhole = () => this.closed || (ending !== undefined && this.endsWith(ending));
    await until(isWhole, 'the answer to end');
    return Buffer.concat(this.received.splice(0)).toString('latin1');
  }

  /** The next answer of the binary protocol, whole. */
  async packet(): Promise<Buffer> {
    const bytes = () => Buffer.concat(this.received);
    const lengthOf = (head: Buffer) => (head.length < 24 ? 24 : 24 + head.readUInt32BE(8));
    await until(() => this.closed || bytes().length >= lengthOf(bytes()), 'an answer');
    const all = bytes();
    const length = lengthOf(all);
    this.received = [all.subarray(length)];
    return all.subarray(0, length);
  }

  private endsWith(ending: string): boolean {
    const tail = Buffer.concat(this.received.slice(-ending.length));
    return tail.subarray(-ending.length).toString('latin1') === ending;
  }

  async close(): Promise<void> {
    this.socket.destroy();
    if (!this.closed) await once(this.socket, 'close');
  }
}

/** Waits until `isTrue`, for some seconds at most. */
export async function until(
  isTrue: () => boolean,
  what: string,
  timeoutMs = ANSWER_TIMEOUT_MS,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!isTrue()) {
    if (performance.now() > endMs) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await delay(5);
  }
}
