import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RawClient } from './support/memcached.js';
import { startVolleyNode, type TestNode } from './support/nodes.js';

const TICK_MS = 10;
const test = suite('busy wait');

/** Milliseconds of processor time that the node's main thread has used. */
function cpuMs({ process }: TestNode): number {
  const stat = readFileSync(`/proc/${process.pid}/task/${process.pid}/stat`, 'latin1');
  // Fields 14 and 15 of proc(5)'s stat; the name, field 2, may hold blanks.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Processor time that a node uses in the second after it was asked once, when it has started and come to rest. */
async function cpuAfterRequest(node: TestNode): Promise<number> {
  const client = new RawClient({ host: '127.0.0.1', port: node.port });
  await delay(500);
  const before = cpuMs(node);
  await client.send('get a\r\nquit\r\n').answer();
  await delay(1000);
  return cpuMs(node) - before;
}

async function withNode(busyWaitUs: number, work: (node: TestNode) => Promise<void>): Promise<void> {
  const node = await startVolleyNode('-m', '4', '--local', 'off', '--busy-wait', String(busyWaitUs));
  try {
    await work(node);
  } finally {
    await node.process.kill();
  }
}

test('a node that was told so looks for the next request without sleeping, for as long as it was told', async () => {
  await withNode(600_000, async (node) => {
    const used = await cpuAfterRequest(node);
    // Whatever else runs here takes its part.
    assert.ok(used >= 150 && used <= 700, `${used} ms`);
  });
});

test('a node that was told not to wait sleeps when it has answered', async () => {
  await withNode(0, async (node) => {
    const used = await cpuAfterRequest(node);
    assert.ok(used < 100, `${used} ms`);
  });
});

test('a node whose waits come to nothing sleeps ever more often at once', async () => {
  await withNode(100_000, async (node) => {
    const client = new RawClient({ host: '127.0.0.1', port: node.port });
    const before = cpuMs(node);
    const requests = 16;
    for (let i = 0; i < requests; i++) {
      client.send('get a\r\n');
      await delay(130);
    }
    await client.send('quit\r\n').answer();
    const used = cpuMs(node) - before;
    // The first, third, seventh and fifteenth wait; 16 waits would be 1.6 s.
    assert.ok(used < 800, `${used} ms`);
  });
});

test.run();
