import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/native.js';
import { chunkKey, recordOf } from './support/items.js';
import { makeImage, planOf, scriptedNode } from './support/reader-plans.js';

const LOADS = 40;
const test = suite('order of a reader');

test('loads of the same image do not all begin at the same node', async () => {
  const image = makeImage(2);
  const first = chunkKey(recordOf(image.chunks[0]!));
  const began: string[] = [];
  // One server stands for both nodes, so that it sees which of the two connections was made first.
  const order = new Map<object, number>();
  const node = await scriptedNode((socket, keys) => {
    if (!order.has(socket)) order.set(socket, order.size);
    if (order.get(socket) === 0) began.push(keys[0] === first ? 'first' : 'second');
    socket.destroy();
  });
  try {
    for (let load = 0; load < LOADS; load++) {
      order.clear();
      const destination = native().GuestMemory.create(image.bytes.length);
      const plan = planOf(image, destination, [node.path, node.path], Uint16Array.of(0, 1));
      await new (native().Reader)({ ...plan, threads: 1 }).run();
      destination.close();
    }
  } finally {
    await node.stop();
  }
  assert.is(began.length, LOADS);
  const share = began.filter((which) => which === 'first').length / LOADS;
  assert.ok(share > 0.1 && share < 0.9, `${share} of the loads began at the first node`);
});

test.run();
