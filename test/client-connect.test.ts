import { existsSync, renameSync, rmSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster, inspectNodes } from '../client/index.js';
import { startMemcached, startVolleyNode, withCluster, withNodes } from './support/nodes.js';
import { Peer } from './support/peer.js';
import { rejects } from './support/rejection.js';

const test = suite('client connect');
const TIMEOUT_MS = 300;

/** A port of this host where nobody listens. */
async function freePort(): Promise<number> {
  let port = 0;
  await Peer.use(
    () => {},
    async (peer) => {
      port = peer.port;
    },
  );
  return port;
}

test('a Volley node on this host is read by local, a memcached by tcp, and each says why', async () => {
  await withNodes([() => startVolleyNode(), () => startMemcached()], async (volley, stock) => {
    await withCluster([volley!, stock!], async (cluster) => {
      const [one, other] = [volley!, stock!].map(
        ({ name }) => cluster.nodes.find((node) => node.name === name)!,
      );
      assert.is(one!.transport, 'local');
      assert.match(one!.transportReason, /same host/);
      assert.is(one!.volley!.layoutVersion, 2);
      assert.is(one!.region!.info.epoch, one!.volley!.epoch);
      assert.is(other!.transport, 'tcp');
      assert.match(other!.transportReason, /stock memcached/);
      assert.is(other!.volley, null);
      assert.match(other!.version, /^1\./);
      assert.ok(cluster.stages.connectMs > 0 && cluster.stages.tablesMs > 0);
    });
  });
});

test('a node that does not hand out its region is read by tcp; when local is insisted on, the error says why', async () => {
  await withNodes(
    [() => startVolleyNode('--local', 'off'), () => startMemcached()],
    async (closed, stock) => {
      await withCluster([closed!], async (cluster) => {
        assert.is(cluster.nodes[0]!.transport, 'tcp');
        assert.match(cluster.nodes[0]!.transportReason, /does not hand out/);
      });
      for (const [node, why] of [
        [closed!, 'does not hand out'],
        [stock!, 'stock memcached'],
      ] as const) {
        const connecting = Cluster.connect({ nodes: [node.name], transport: 'local' });
        await rejects(connecting, 'ERR_VOLLEY_TRANSPORT', node.name, why);
      }
    },
  );
});

test('a socket that is gone, or that belongs to another node, is not used', async () => {
  await withNodes([() => startVolleyNode()], async (node) => {
    let path = '';
    await withCluster([node!], async (cluster) => {
      path = cluster.nodes[0]!.volley!.localPath!;
    });
    assert.ok(existsSync(path));
    renameSync(path, `${path}.gone`);
    try {
      await withCluster([node!], async (cluster) => {
        assert.match(cluster.nodes[0]!.transportReason, /does not exist/);
      });
      await withNodes([() => startVolleyNode('--local', path)], async () => {
        await withCluster([node!], async (cluster) => {
          assert.is(cluster.nodes[0]!.transport, 'tcp');
          assert.match(cluster.nodes[0]!.transportReason, /not the node's current one/);
        });
      });
    } finally {
      rmSync(`${path}.gone`);
    }
  });
});

test('a node that is down is named at once, also among others', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    const name = `127.0.0.1:${await freePort()}`;
    const startMs = performance.now();
    await rejects(Cluster.connect({ nodes: [node!.name, name] }), 'ERR_VOLLEY_NODE_DOWN', name, 'refused');
    assert.ok(performance.now() - startMs < 1000);
  });
});

test('a peer that says nothing, closes, or is no memcached is named within the deadline', async () => {
  const connect = (peer: Peer) => Cluster.connect({ nodes: [peer.name], timeoutMs: TIMEOUT_MS });
  await Peer.use(
    () => {},
    (peer) => rejects(connect(peer), 'ERR_VOLLEY_TIMEOUT', peer.name, '300 ms').then(() => {}),
  );
  await Peer.use(
    (socket) => socket.on('data', () => socket.end()),
    (peer) => rejects(connect(peer), 'ERR_VOLLEY_NODE_DOWN', peer.name, 'closed').then(() => {}),
  );
  await Peer.use(
    (socket) => socket.on('data', () => socket.destroy()),
    (peer) => rejects(connect(peer), 'ERR_VOLLEY_NODE_DOWN', peer.name).then(() => {}),
  );
  await Peer.use(
    (socket) => socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'),
    (peer) => rejects(connect(peer), 'ERR_VOLLEY_PROTOCOL', peer.name, 'HTTP/1.1 400').then(() => {}),
  );
});

test('a node that is stopped is named within the deadline, and connecting can be aborted', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    node!.process.signal('SIGSTOP');
    const nodes = [node!.name];
    await rejects(Cluster.connect({ nodes, timeoutMs: TIMEOUT_MS }), 'ERR_VOLLEY_TIMEOUT', node!.name);
    await rejects(Cluster.connect({ nodes, signal: AbortSignal.timeout(50) }), 'ERR_VOLLEY_ABORTED');
  });
});

test('host names are looked up; unknown ones are told of', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    await withCluster([{ name: `LOCALHOST:${node!.port}` }], async (cluster) => {
      assert.is(cluster.nodes[0]!.name, `localhost:${node!.port}`);
      assert.match(cluster.nodes[0]!.address, /^(127\.0\.0\.1|::1)$/);
    });
  });
  await rejects(
    Cluster.connect({ nodes: ['no-such-host.invalid'] }),
    'ERR_VOLLEY_NODE_DOWN',
    'no-such-host.invalid',
  );
});

test('inspecting tells of nodes that are down beside those that live', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    const dead = `127.0.0.1:${await freePort()}`;
    const found = await inspectNodes([node!.name, dead], TIMEOUT_MS);
    const live = found.find(({ name }) => name === node!.name)!;
    assert.ok(live.error === null && live.kind === 'memcached' && live.items === 0 && live.limitBytes > 0);
    assert.is(found.find(({ name }) => name === dead)!.error!.code, 'ERR_VOLLEY_NODE_DOWN');
  });
});

test('a client that is closed leaves nothing that keeps the process alive', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    node!.process.signal('SIGSTOP');
    await Cluster.connect({ nodes: [node!.name], timeoutMs: 50 }).catch(() => {});
    node!.process.signal('SIGCONT');
    await withCluster([node!], async (cluster) => {
      await cluster.upload(Buffer.alloc(10, 1), { name: 'a' });
      await cluster.images();
      node!.process.signal('SIGSTOP');
    });
    // A destroyed socket's handle is closed in a later turn of the event loop.
    await new Promise((resolve) => setTimeout(resolve, 20));
    const open = process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap');
    assert.equal(open, []);
  });
});

test.run();
