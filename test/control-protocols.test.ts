import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster, inspectNodes } from '../client/index.js';
import { temporaryFile } from './support/auth-file.js';
import { runCli } from './support/cli.js';
import { loadBytes, randomImage } from './support/images.js';
import { startMemcached, startVolleyNode, withCluster, withNodes } from './support/nodes.js';
import { Peer } from './support/peer.js';
import { rejects } from './support/rejection.js';
import { TextFront } from './support/text-front.js';

const test = suite('control protocols');

/** Stores, lists, replaces, reads and removes an image. */
async function useAll(cluster: Cluster): Promise<void> {
  const [first, second] = [randomImage(40), randomImage(40)];
  await cluster.upload(first, { name: 'a' });
  assert.is((await cluster.upload(second, { name: 'a' })).replaced, true);
  const [image] = await cluster.images();
  assert.equal([image!.name, image!.missingChunks], ['a', 0]);
  assert.ok((await loadBytes(cluster, 'a')).bytes.equals(second));
  assert.is((await cluster.remove('a')).removedChunks, 40);
  assert.is((await cluster.removeOrphans(0)).removedChunks, 40);
  await rejects(cluster.open('a'), 'ERR_VOLLEY_NOT_FOUND');
}

test('a memcached that speaks text only (-B ascii) is used like any other', async () => {
  await withNodes([() => startMemcached('-B', 'ascii')], async (node) => {
    const startMs = performance.now();
    await withCluster([node!], async (cluster) => {
      assert.ok(performance.now() - startMs < 900, 'its first answer shows that it speaks text');
      await useAll(cluster);
    });
    const [told] = await inspectNodes([node!.name], 5000);
    assert.ok(told!.error === null && told!.kind === 'memcached' && told!.limitBytes > 0);
  });
});

const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
test.after(() => rmSync(folder, { recursive: true }));

test('every command works with a memcached that speaks text only', async () => {
  await withNodes([() => startMemcached('-B', 'ascii')], async (node) => {
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await runCli(
        [...args, '--nodes', node!.name, '--json'],
        {},
        randomImage(3),
      );
      assert.is(code, 0, `${args}: ${stderr}`);
      return JSON.parse(stdout);
    };
    assert.is((await run('upload', '-', '--name', 'a')).sentChunks, 3);
    assert.is((await run('images')).images.length, 1);
    assert.is((await run('load', 'a', '--out', join(folder, 'copy'))).chunks, 3);
    assert.is((await run('stats')).nodes[0].error, null);
    assert.is((await run('rm', 'a')).removedChunks, 3);
  });
});

test('a memcached with an auth file is told user and password, wants both, and names wrong ones', async () => {
  const file = temporaryFile('user:secret\n');
  await withNodes([() => startMemcached('-Y', file)], async (node) => {
    const credentials = { user: 'user', password: 'secret' };
    await withCluster([node!], useAll, { credentials });
    const nodes = [node!.name];
    await rejects(Cluster.connect({ nodes }), 'ERR_VOLLEY_AUTH', node!.name, 'wants a user and a password');
    const wrong = Cluster.connect({ nodes, credentials: { user: 'user', password: 'wrong' } });
    await rejects(wrong, 'ERR_VOLLEY_AUTH', node!.name, 'does not take this user and password');
  });
});

test('what stands before a memcached and knows text alone is used, whatever it does when it is asked in binary', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    for (const onBinary of ['error', 'hang up', 'silence'] as const) {
      await TextFront.use(node!.port, { onBinary, refuses: [] }, async (front) => {
        await withCluster([front], useAll);
        assert.is(front.binaryConnections, 1, `${onBinary}: binary is tried once`);
      });
    }
  });
});

test('without meta commands an image that took the place of a removed one stays, by cas', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    await TextFront.use(node!.port, { onBinary: 'error', refuses: ['md'] }, async (front) => {
      await withCluster([front], async (cluster) => {
        await useAll(cluster);
        const { control } = cluster.nodes[0]!;
        await control.add('volley:test', Buffer.from('one'));
        const item = (await control.read('volley:test'))!;
        await control.replace('volley:test', Buffer.from('two'));
        assert.is(await control.deleteSame('volley:test', item), 'changed');
        assert.is(String(await control.get('volley:test')), 'two');
        assert.is(await control.deleteSame('volley:test', (await control.read('volley:test'))!), 'deleted');
        assert.is(await control.get('volley:test'), null);
        assert.is(await control.deleteSame('volley:test', item), 'absent');
      });
    });
  });
});

test('a node that cannot tell its version among its statistics is asked for it', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    await TextFront.use(node!.port, { onBinary: 'error', refuses: ['stats'] }, async (front) => {
      await withCluster([front], async (cluster) => {
        assert.match(cluster.nodes[0]!.version, /^1\./);
        const content = randomImage(5);
        await cluster.upload(content, { name: 'a' });
        assert.ok((await loadBytes(cluster, 'a')).bytes.equals(content));
      });
    });
  });
});

test('a Volley node and a stock memcached are reached by one control connection each', async () => {
  await withNodes([() => startMemcached(), () => startVolleyNode()], async (...nodes) => {
    for (const node of nodes) {
      await TextFront.use(node.port, { onBinary: 'pass', refuses: [] }, async (front) => {
        await withCluster([front], async () => assert.is(front.connections, 1));
      });
    }
  });
});

test('hostile answers to the control connection end in an error, within the deadline', async () => {
  const timeoutMs = 600;
  const answering = (bytes: string | Buffer) => (socket: Socket) => {
    socket.on('data', () => {
      if (!socket.destroyed) socket.write(bytes);
    });
  };
  const endless = Buffer.alloc(64 * 1024, 'STAT a b\r\n');
  const answers: [string | Buffer, 'ERR_VOLLEY_PROTOCOL' | 'ERR_VOLLEY_TIMEOUT'][] = [
    ['HTTP/1.1 400 Bad Request\r\n\r\n', 'ERR_VOLLEY_PROTOCOL'],
    [Buffer.alloc(256 * 1024, 'x'), 'ERR_VOLLEY_PROTOCOL'],
    [endless, 'ERR_VOLLEY_PROTOCOL'],
    ['STAT version 1\r\n', 'ERR_VOLLEY_TIMEOUT'],
  ];
  for (const [bytes, code] of answers) {
    await Peer.use(answering(bytes), async (peer) => {
      const startMs = performance.now();
      await rejects(Cluster.connect({ nodes: [peer.name], timeoutMs }), code, peer.name);
      assert.ok(performance.now() - startMs < 3 * timeoutMs);
    });
  }
});

test.run();
