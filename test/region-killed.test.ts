import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { seeded } from './support/lone-session.js';
import { until } from './support/memcached.js';
import { startVolleyNode, type TestNode } from './support/nodes.js';
import { SEED } from './support/seed.js';
import { WriteLoad } from './support/write-load.js';

const test = suite('a node that is killed');
/** Until a few writes are acknowledged. */
const WRITES_TIMEOUT_MS = 30_000;
const KILLS = Number(process.env.VOLLEY_KILLS ?? 8);
const file = `/dev/shm/volley-test-${process.pid}.region`;
process.once('exit', () => rmSync(file, { force: true }));

const start = () => startVolleyNode('-m', '24', '--local', 'off', '--fabric', 'off', '--region', file);

test(`${KILLS} kills amid writes lose nothing that was acknowledged and bring no wrong byte`, async () => {
  const random = seeded(SEED);
  const load = new WriteLoad(random);
  let node: TestNode = await start();
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      const writing = load.run(node.port);
      // However slow the machine is: no kill before there is something to lose.
      await until(() => load.acknowledged > 20 * (kill + 1), 'writes to be acknowledged', WRITES_TIMEOUT_MS);
      await delay(random() * 150);
      await node.process.kill();
      await writing;
      node = await start();
      await load.check(node.port);
    }
  } catch (error) {
    throw new Error(`${(error as Error).message}; again with VOLLEY_SEED=${SEED}`);
  } finally {
    await node.process.kill();
  }
  assert.ok(load.acknowledged > 20 * KILLS, `only ${load.acknowledged} writes were acknowledged`);
  console.log(`${load.acknowledged} writes acknowledged, ${KILLS} kills, seed ${SEED}`);
});

test.run();
