import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/native.js';
import { startVolleyNode, withNodes } from './support/nodes.js';
import { rejects } from './support/rejection.js';

const test = suite('many clients of one host at the moment');

/** More than a node lets wait. */
const CLIENTS_MAX = 2000;
const TIMEOUT_MS = 300;

/** Connects until the kernel takes no more. */
async function fillBacklog(path: string): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < CLIENTS_MAX) {
    const socket = connect(path);
    sockets.push(socket);
    try {
      await once(socket, 'connect');
    } catch (error) {
      assert.is((error as NodeJS.ErrnoException).code, 'EAGAIN');
      return sockets;
    }
  }
  throw new Error(`${CLIENTS_MAX} clients found room`);
}

test('a client whose node has a full backlog tries again until the deadline, and says so when that has passed', async () => {
  await withNodes([() => startVolleyNode()], async (node) => {
    const path = node!.socket!;
    node!.process.signal('SIGSTOP');
    const sockets = await fillBacklog(path);
    try {
      const late = native().openLocalRegion(path, TIMEOUT_MS);
      await rejects(late, 'ERR_VOLLEY_TIMEOUT', path, 'too many clients wait');
      const opened = native().openLocalRegion(path, 60_000);
      node!.process.signal('SIGCONT');
      (await opened).close();
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });
});

test.run();
