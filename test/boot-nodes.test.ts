import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestIn } from '../bench/support/guest-initrd.js';
import type { BootReport } from '../hypervisor-shim/index.js';
import { IMAGES, MARKERS, volley, withImages } from './support/boot-images.js';
import { startMemcached, startVolleyNode } from './support/nodes.js';

const test = suite('volley boot, out of the memory of storage nodes');

const volleyNode = () => startVolleyNode('-m', '64');
const memcached = () => startMemcached('-m', '128');

test('a guest boots out of three nodes and sees every byte of its payload', async () => {
  await withImages([volleyNode, volleyNode, volleyNode], async (nodes, payloadSha256) => {
    const ran = await volley(nodes, 'boot', ...IMAGES, ...MARKERS, '--timeout', '60', '--json');
    assert.is(ran.code, 0, ran.stderr);
    const report = JSON.parse(ran.stdout) as BootReport;
    assert.is(report.outcome, 'until');
    assert.is(report.kernel.kind, 'kernel');
    assert.match(ran.stderr, 'Linux version');
    assert.is(digestIn(ran.stderr.split('\n')), payloadSha256);
    const { totals, points } = report;
    assert.is(totals.nodes.length, 3);
    for (const node of totals.nodes) {
      assert.is(node.transport, 'local', node.transportReason);
      assert.ok(node.chunks > 200, 'every node gives its part');
    }
    assert.is(
      totals.nodes.reduce((sum, { chunks }) => sum + chunks, totals.zeroChunks),
      totals.chunks,
    );
    assert.equal([totals.retries, totals.checksumFailures], [0, 0]);
    assert.ok(points.kernel!.sinceSpawn! < points.userspace!.sinceSpawn!);
    assert.ok(points.userspace!.sinceSpawn! < points.until!.sinceSpawn!);
  });
});

test('the same out of stock memcached, and a person gets serial output and a table', async () => {
  await withImages([memcached, memcached], async (nodes, payloadSha256) => {
    const ran = await volley(nodes, 'boot', ...IMAGES, ...MARKERS, '--timeout', '60');
    assert.is(ran.code, 0, ran.stderr);
    assert.is(ran.stderr, '');
    assert.is(digestIn(ran.stdout.split('\n')), payloadSha256);
    for (const stage of [
      'connect',
      'tables',
      'read',
      'verify',
      'doorbell',
      'first kernel line',
      'userspace',
    ]) {
      assert.match(ran.stdout, new RegExp(`^${stage} +.*\\d ms`, 'm'));
    }
    assert.match(ran.stdout, /127\.0\.0\.1:\d+: \d+ chunks, tcp \(/);
  });
});

test.run();
