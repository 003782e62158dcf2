import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster } from '../client/index.js';
import { StorageNode } from '../server/index.js';
import type { NodeOptions } from '../server/options.js';
import { contentDigest } from '../src/digest.js';
import { chunkKey } from '../src/keys.js';
import { ALICE, authFile } from './support/auth-file.js';
import { type Certificates, makeCertificates } from './support/certificates.js';
import { runCli } from './support/cli.js';
import { CHUNK_BYTES, loadBytes, randomImage } from './support/images.js';
import { RawClient, until } from './support/memcached.js';
import { withCluster } from './support/nodes.js';
import { rejects } from './support/rejection.js';
import { randomBytes } from './support/seed.js';

const test = suite('tls');
const MIB = 1024 * 1024;
const files = makeCertificates();
const ca = readFileSync(files.ca);

async function withNode(
  given: Partial<NodeOptions>,
  work: (node: StorageNode, name: string) => Promise<void>,
): Promise<void> {
  const tls = { tlsCert: files.cert, tlsKey: files.key };
  const node = new StorageNode({ port: 0, local: 'off', memoryBytes: 16 * MIB, ...tls, ...given });
  await node.start();
  try {
    await work(node, `127.0.0.1:${node.port}`);
  } finally {
    await node.stop();
  }
}

/** A client over TLS that keeps its connection. */
class SecureClient {
  private received = '';
  private isOver = false;
  private readonly socket: TLSSocket;

  constructor(options: ConnectionOptions) {
    this.socket = connect(options);
    this.socket.on('data', (bytes) => {
      this.received += bytes.toString('latin1');
    });
    this.socket.on('error', (error) => {
      this.received += error.message;
      this.isOver = true;
    });
    this.socket.on('close', () => {
      this.isOver = true;
    });
  }

  /** What is answered, so many lines of it. */
  async ask(command: string, lines = 1): Promise<string> {
    this.received = '';
    this.socket.write(command);
    await until(() => this.isOver || this.received.split('\n').length > lines, 'an answer');
    return this.received;
  }

  /** Leaves; returns the serial number of the certificate that the node has shown. */
  async end(): Promise<string> {
    const { serialNumber } = this.socket.getPeerCertificate();
    this.socket.destroy();
    await until(() => this.isOver, 'the end');
    return serialNumber;
  }
}

/** What a raw client that trusts the authority is answered. */
async function askSecurely(port: number, command: string, end: string): Promise<string> {
  const socket: TLSSocket = connect({ host: '127.0.0.1', port, ca });
  let answer = '';
  let fault = '';
  socket.on('data', (bytes) => {
    answer += bytes.toString('latin1');
  });
  socket.on('error', (error) => {
    fault = error.message;
  });
  socket.write(command);
  await until(() => answer.endsWith(end) || fault !== '' || socket.destroyed, 'an answer');
  socket.destroy();
  return answer || fault;
}

test('an image is uploaded, listed, loaded and removed over TLS, with a password', async () => {
  await withNode({ authFile: authFile() }, async (node, name) => {
    const image = randomBytes(3 * MIB + 77);
    image.fill(0, 100_000, 400_000);
    const environment = {
      VOLLEY_NODES: name,
      VOLLEY_USER: ALICE.user,
      VOLLEY_PASSWORD: ALICE.password,
      VOLLEY_TLS_CA: files.ca,
    };
    const path = join(files.folder, 'image');
    const out = join(files.folder, 'copy');
    writeFileSync(path, image);
    assert.is((await runCli(['upload', path, '--name', 'a'], environment)).code, 0);
    const load = await runCli(['load', 'a', '--out', out, '--json'], environment);
    assert.is(load.code, 0, load.stderr);
    assert.ok(readFileSync(out).equals(image));
    const [told] = JSON.parse(load.stdout).nodes;
    assert.is(told.transport, 'tcp');
    assert.match(told.transportReason, /TLS/);
    assert.ok(told.chunks > 80 && told.checksumFailures === 0);
    assert.is((await runCli(['rm', 'a', '--json'], environment)).code, 0);
    assert.is(node.counters.tlsErrors, 0);
  });
});

test('a chunk that is wrong, short or missing at a node that speaks TLS is named', async () => {
  await withNode({ address: '127.0.0.1,notls:127.0.0.2' }, async ({ port }, name) => {
    const content = randomImage(40);
    const key = chunkKey(contentDigest(content.subarray(17 * CHUNK_BYTES, 18 * CHUNK_BYTES)));
    const plain = new RawClient({ host: '127.0.0.2', port });
    const work = async (cluster: Cluster) => {
      await cluster.upload(content, { name: 'a' });
      assert.ok((await loadBytes(cluster, 'a')).bytes.equals(content));
      for (const [bytes, words] of [
        [CHUNK_BYTES, 'checksum'],
        [5, 'length'],
      ] as const) {
        plain.send(`set ${key} 0 0 ${bytes}\r\n${'x'.repeat(bytes)}\r\n`);
        assert.is(await plain.answer('\r\n'), 'STORED\r\n');
        await rejects(loadBytes(cluster, 'a'), 'ERR_VOLLEY_CHUNK', 'chunk 17 of 40', name, words);
      }
      assert.is(await plain.send(`delete ${key}\r\n`).answer('\r\n'), 'DELETED\r\n');
      await rejects(loadBytes(cluster, 'a'), 'ERR_VOLLEY_CHUNK', 'chunk 17 of 40', name);
    };
    await withCluster([{ name }], work, { tls: { ca } });
    await plain.close();
  });
});

test('a node that dies in the middle of a load over TLS is named', async () => {
  const node = new StorageNode({
    port: 0,
    memoryBytes: 64 * MIB,
    local: 'off',
    tlsCert: files.cert,
    tlsKey: files.key,
  });
  await node.start();
  const content = randomImage(1000);
  const work = async (cluster: Cluster) => {
    await cluster.upload(content, { name: 'a' });
    const image = await cluster.open('a');
    const name = `127.0.0.1:${node.port}`;
    const loading = rejects(
      cluster.read(image, 0, content.length),
      'ERR_VOLLEY_NODE_DOWN',
      'image "a"',
      name,
    );
    await Promise.all([loading, node.stop()]);
  };
  await withCluster([{ name: `127.0.0.1:${node.port}` }], work, { tls: { ca } });
});

test('of two nodes with TLS one is read in memory and one over TLS, at the same time', async () => {
  const socket = join(files.folder, 'local.sock');
  await withNode({ local: socket }, async (_, near) => {
    await withNode({}, async (__, far) => {
      const content = randomImage(64);
      const work = async (cluster: Cluster) => {
        await cluster.upload(content, { name: 'a' });
        assert.ok((await loadBytes(cluster, 'a')).bytes.equals(content));
        assert.equal(cluster.nodes.map(({ transport }) => transport).sort(), ['local', 'tcp']);
      };
      await withCluster([{ name: near }, { name: far }], work, { tls: { ca } });
    });
  });
});

test('who speaks plainly to a node with TLS, or TLS to one without, is told so', async () => {
  await withNode({}, async (node, name) => {
    const plain = await runCli(['images', '--nodes', name]);
    assert.is(plain.code, 1);
    assert.match(plain.stderr, /speaks TLS only; give --tls-ca/);
    const unknown = await runCli(['images', '--nodes', name, '--tls']);
    assert.match(unknown.stderr, /certificate is of no authority that is known/);
    const wrong = await runCli(['images', '--nodes', name, '--tls-ca', files.otherCa, '--json']);
    assert.is(JSON.parse(wrong.stdout).error.code, 'ERR_VOLLEY_TLS');
    const misnamed = await runCli([
      'images',
      '--nodes',
      name,
      '--tls-ca',
      files.ca,
      '--tls-server-name',
      'x.y',
    ]);
    assert.match(misnamed.stderr, /is for another name/);
    assert.ok(node.counters.tlsErrors > 0);
  });
  await withNode({ tls: false }, async (_, name) => {
    const { stderr } = await runCli(['images', '--nodes', name, '--tls-ca', files.ca]);
    assert.match(stderr, /does not speak TLS/);
  });
});

test('a file of authorities that holds no whole certificate is refused, by clients and nodes', async () => {
  const empty = join(files.folder, 'empty.pem');
  writeFileSync(empty, '');
  const damaged = join(files.folder, 'damaged.pem');
  writeFileSync(damaged, `${ca}${ca.toString().replace(/\n[A-Za-z0-9]{8}/, '\nAAAAAAAA')}`);
  const images = ['--kernel', 'k', '--initrd', 'i'];
  await withNode({}, async (_, name) => {
    for (const command of [['images'], ['boot', ...images]]) {
      for (const [file, words] of [
        [files.key, /^volley: TLS: the authorities .*node\.key cannot be used: it holds no certificate/],
        [empty, /holds no certificate/],
        [damaged, /its certificate 2 of 2 is damaged/],
      ] as const) {
        const { code, stderr } = await runCli([...command, '--nodes', name, '--tls-ca', file]);
        assert.is(code, 1, stderr);
        assert.match(stderr, words, stderr);
      }
    }
    const boot = await runCli(['boot', ...images, '--nodes', name, '--tls-ca', files.ca]);
    assert.match(boot.stderr, /no image "[ki]"/);
  });
  for (const tlsCa of [files.key, empty, damaged]) {
    const tls = { tlsCert: files.cert, tlsKey: files.key, tlsCa };
    assert.throws(() => new StorageNode({ port: 0, ...tls }), /the authorities .* cannot be used/);
  }
});

test('a node may want certificates of its clients', async () => {
  await withNode({ tlsCa: files.ca }, async (node, name) => {
    const args = ['images', '--nodes', name, '--tls-ca', files.ca];
    const without = await runCli(args);
    assert.is(without.code, 1);
    assert.match(without.stderr, /refused this client by TLS; give a certificate/);
    const shown = ['--tls-cert', files.clientCert, '--tls-key', files.clientKey];
    const { code, stderr } = await runCli([...args, ...shown]);
    assert.is(code, 0, stderr);
    assert.ok(node.counters.tlsErrors > 0);
  });
});

test('a listener may be left plain with notls:', async () => {
  await withNode({ address: '127.0.0.1,notls:127.0.0.2' }, async ({ port }) => {
    assert.match(await askSecurely(port, 'version\r\n', '\r\n'), /^VERSION/);
    const client = new RawClient({ host: '127.0.0.2', port });
    assert.match(await client.send('version\r\n').answer('\r\n'), /^VERSION/);
    await client.close();
  });
});

test('a client that does not shake hands is closed, and takes a place of -c meanwhile', async () => {
  await withNode({ loginTimeoutMs: 400, maxConnections: 1 }, async (node) => {
    const silent = connectPlain(node.port, '127.0.0.1');
    let closed = false;
    silent
      .on('error', () => {})
      .on('close', () => {
        closed = true;
      });
    await until(() => node.counters.totalConnections === 1, 'the connection');
    assert.is(await askSecurely(node.port, 'version\r\n', '\r\n'), 'ERROR Too many open connections\r\n');
    assert.is(node.counters.rejectedConnections, 1);
    // Nobody says anything to a client that speaks no TLS.
    assert.is(await new RawClient({ host: '127.0.0.1', port: node.port }).answer(), '');
    await until(() => closed, 'the handshake to be given up', 3000);
    assert.match(await askSecurely(node.port, 'version\r\n', '\r\n'), /^VERSION/);
  });
});

test('certificates are read anew; broken ones are told and change nothing', async () => {
  const cert = join(files.folder, 'changing.pem');
  const key = join(files.folder, 'changing.key');
  copyFileSync(files.clientCert, cert);
  copyFileSync(files.clientKey, key);
  await withNode({ tlsCert: cert, tlsKey: key, logLevel: 'silent' }, async (node) => {
    assert.match(await askSecurely(node.port, 'version\r\n', '\r\n'), /altnames|match|purpose/i);
    copyFileSync(files.cert, cert);
    node.reload();
    assert.match(await askSecurely(node.port, 'version\r\n', '\r\n'), /altnames|match|purpose/i);
    copyFileSync(files.key, key);
    node.reload();
    assert.match(await askSecurely(node.port, 'version\r\n', '\r\n'), /^VERSION/);
  });
});

test('refresh_certs reads certificates, key and authorities anew, drops nobody, and keeps the old where the new are bad', async () => {
  const [cert, key, authority] = ['fresh.pem', 'fresh.key', 'fresh-ca.pem'].map((name) =>
    join(files.folder, name),
  );
  const take = (from: Pick<Certificates, 'cert' | 'key'>) => {
    copyFileSync(from.cert, cert!);
    copyFileSync(from.key, key!);
  };
  take(files);
  copyFileSync(files.ca, authority!);
  const options = {
    tlsCert: cert!,
    tlsKey: key!,
    tlsCa: authority!,
    tlsVerify: 'require' as const,
    logLevel: 'silent' as const,
  };
  await withNode(options, async (node) => {
    const known = {
      host: '127.0.0.1',
      port: node.port,
      ca,
      cert: readFileSync(files.clientCert),
      key: readFileSync(files.clientKey),
    };
    const admin = new SecureClient(known);
    const serial = async () => {
      const client = new SecureClient(known);
      await client.ask('version\r\n');
      return client.end();
    };
    const first = await serial();
    assert.is(await admin.ask('refresh_certs\r\n'), 'OK\r\n');
    assert.is(await serial(), first);
    for (const [damage, words] of [
      [
        () => writeFileSync(cert!, 'no certificate'),
        /^Error TLS: the certificate .*fresh\.pem.* cannot be used: [^\n]*\r\n$/,
      ],
      [() => writeFileSync(key!, 'no key'), /^Error .*cannot be used/],
      [() => copyFileSync(files.clientKey, key!), /^Error .*mismatch/],
      [() => rmSync(key!), /^Error .*fresh\.key.*no such file/],
    ] as const) {
      damage();
      assert.match(await admin.ask('refresh_certs\r\n'), words);
      assert.is(await serial(), first, 'the old certificate goes on');
      take(files);
      copyFileSync(files.ca, authority!);
    }
    const other = makeCertificates();
    take(other);
    assert.is(await admin.ask('refresh_certs\r\n'), 'OK\r\n');
    const told = await new SecureClient({ ...known, ca: readFileSync(other.ca) }).ask('version\r\n');
    assert.match(told, /^VERSION/, 'the new certificate is shown');
    copyFileSync(files.otherCa, authority!);
    assert.is(await admin.ask('refresh_certs noreply\r\nversion\r\n'), told);
    const stranger = await new SecureClient({ ...known, ca: readFileSync(other.ca) }).ask('version\r\n');
    assert.not.match(stranger, /VERSION/, 'the new authorities count');
    assert.match(await admin.ask('version\r\n'), /^VERSION/, 'who is in stays in');
    await admin.end();
  });
});

test('refresh_certs is for those who may change something, and an error where TLS is not spoken', async () => {
  await withNode({ authFile: authFile(), logLevel: 'silent' }, async (node) => {
    const login = ({ user, password }: typeof ALICE) => {
      const words = `${user} ${password}`;
      return `set x 0 0 ${words.length}\r\n${words}\r\n`;
    };
    const client = () => new SecureClient({ host: '127.0.0.1', port: node.port, ca });
    assert.is(await client().ask('refresh_certs\r\n'), 'CLIENT_ERROR unauthenticated\r\n');
    assert.match(await client().ask(`${login(ALICE)}refresh_certs\r\n`, 2), /OK\r\n$/);
  });
  const plain = new StorageNode({ port: 0, local: 'off', fabric: 'off', memoryBytes: MIB, threads: 2 });
  await plain.start();
  try {
    const asked = 'refresh_certs\r\nrefresh_certs noreply\r\nquit\r\n';
    const answer = await new RawClient({ host: '127.0.0.1', port: plain.port }).send(asked).answer();
    assert.is(answer, 'Error TLS not enabled\r\nError TLS not enabled\r\n');
  } finally {
    await plain.stop();
  }
});

test('files that cannot be used are told when the node is made', () => {
  const wrong: [Partial<NodeOptions>, RegExp][] = [
    [{ tlsCert: '/none' }, /certificate \/none cannot be used: no such file/],
    [{ tlsCert: files.cert, tlsKey: files.clientKey }, /key values mismatch/],
    [{ tlsCert: files.cert }, /cannot be used/],
    [{ tls: true }, /needs a certificate/],
    [{ tlsCert: files.cert, tlsKey: files.key, tlsVerify: 'require' }, /without --tls-ca/],
  ];
  for (const [options, words] of wrong) {
    assert.throws(
      () => new StorageNode({ port: 0, local: 'off', memoryBytes: MIB, ...options }),
      (error: Error) => words.test(error.message),
      JSON.stringify(options),
    );
  }
});

test.run();
