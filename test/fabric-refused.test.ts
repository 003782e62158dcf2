// What a load does when the fabric's provider takes no reads: for now, because its queue is full, or for good.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LoadReport, NodeLoadReport } from '../client/index.js';
import { ROOT } from '../src/root.js';
import { runCli } from './support/cli.js';
import { PROVIDER, startFabricNode } from './support/fabric.js';
import { randomImage } from './support/images.js';
import { withCluster, withNodes } from './support/nodes.js';

/** How long the reads of each endpoint are refused at first, as support/refusing-fabric.c has it. */
const REFUSED_SECONDS = 0.1;
/** Of one read, when nothing else is told. */
const DEADLINE_SECONDS = 5;
const CHUNKS = 60;
/**
 * Over verbs a refused read is tried again after a millisecond, 16 of them at a time, and when others end. Over libfabric's
 * plain sockets the descriptor to wait on stays readable once a connection is made: there nobody sleeps.
 */
const REFUSALS_MAX = PROVIDER === 'verbs' ? 3000 : Number.POSITIVE_INFINITY;

/** What a provider may answer whose device is gone, whose connection is, or that is out of memory. */
const ERRORS = [
  constants.errno.EIO,
  constants.errno.ENOTCONN,
  constants.errno.ENOMEM,
  constants.errno.EINVAL,
];
/** Of the reads of a load the first, all that may open it, and some in the middle of its flushes. */
const FIRST_REFUSED = [1, 2, 3, 5, 8, 12];

const test = suite(`refused reads over ${PROVIDER}`);

/** Puts a library into the folder that refuses reads. Returns the environment in which it is found before libfabric. */
function refusing(folder: string): NodeJS.ProcessEnv {
  const source = join(ROOT, 'test', 'support', 'refusing-fabric.c');
  execFileSync('cc', ['-shared', '-fPIC', '-o', join(folder, 'libfabric.so.1'), source]);
  const libraries = execFileSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' });
  const real = /libfabric\.so\.1 .*=> (.*)$/m.exec(libraries)![1];
  return {
    LD_LIBRARY_PATH: folder,
    VOLLEY_TEST_LIBFABRIC: real,
    VOLLEY_TEST_REFUSALS: join(folder, 'refusals'),
  };
}

test('a load whose reads are refused tries again soon and is whole over the fabric', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  const content = randomImage(CHUNKS);
  try {
    await withNodes([startFabricNode], async (node) => {
      await withCluster([node!], async (cluster) => {
        await cluster.upload(content, { name: 'image' });
      });
      const out = join(folder, 'out');
      const args = ['load', 'image', '--out', out, '--json', '--nodes', node!.name, '--transport', 'fabric'];
      const { code, stdout, stderr } = await runCli(args, refusing(folder));
      assert.is(code, 0, stderr);
      assert.ok(readFileSync(out).equals(content));
      const { retries, nodes, seconds } = JSON.parse(stdout) as LoadReport;
      assert.equal([nodes[0]!.transport, nodes[0]!.fallbackChunks, retries], ['fabric', 0, 0]);
      const refusals = statSync(join(folder, 'refusals')).size;
      console.log(`${refusals} reads refused, the load took ${seconds} s`);
      assert.ok(refusals > CHUNKS / 4, `${refusals} reads were refused`);
      assert.ok(refusals < REFUSALS_MAX, `${refusals} reads were refused: it span`);
      assert.ok(seconds < REFUSED_SECONDS + DEADLINE_SECONDS / 2, `it took ${seconds} s`);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a load whose provider takes no more reads, whichever read that begins with, is whole over tcp and says why', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  const content = randomImage(CHUNKS);
  try {
    await withNodes([startFabricNode], async (node) => {
      await withCluster([node!], async (cluster) => {
        await cluster.upload(content, { name: 'image' });
      });
      const out = join(folder, 'out');
      const args = ['load', 'image', '--out', out, '--json', '--nodes', node!.name, '--fabric', PROVIDER];
      const environment = refusing(folder);
      let midway = 0;
      for (const [i, first] of FIRST_REFUSED.entries()) {
        rmSync(out, { force: true });
        const error = ERRORS[i % ERRORS.length];
        const failing = { VOLLEY_TEST_ERROR: String(error), VOLLEY_TEST_FIRST: String(first) };
        const { code, stdout, stderr } = await runCli(args, { ...environment, ...failing });
        assert.is(code, 0, `from read ${first} on: ${stderr}`);
        assert.ok(readFileSync(out).equals(content), `from read ${first} on`);
        const { nodes } = JSON.parse(stdout) as LoadReport;
        const [{ transport, transportReason, fallbackChunks, fallbackReason }] = nodes as [NodeLoadReport];
        if (transport === 'tcp') {
          assert.match(transportReason, /cannot post a read/);
          continue;
        }
        midway++;
        assert.ok(fallbackChunks > 0, `from read ${first} on`);
        assert.match(fallbackReason!, /cannot post a read/);
      }
      assert.ok(midway >= 3, `${midway} loads had begun when their reads were refused`);
      assert.ok(statSync(join(folder, 'refusals')).size >= FIRST_REFUSED.length);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
