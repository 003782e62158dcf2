import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../src/root.js';
import { loadBytes } from './support/images.js';
import { lastRelease } from './support/last-release.js';
import { contentOf } from './support/named-content.js';
import { withCluster } from './support/nodes.js';
import { TestProcess } from './support/processes.js';

const test = suite('rolling upgrade');
const CLIENT = join(ROOT, 'dist', 'test', 'support', 'release-client.js');
const IMAGES = ['base 0', 'base 1', 'base 2'];
/** What a client does with each set of nodes before the next node is replaced. */
const LINES = 6;
/** Guards against a hang: the machine may be busy. */
const PATIENCE_MS = 60_000;

/** A node of some release, with its region in a file. */
interface ReleaseNode {
  name: string;
  port: number;
  region: string;
  process: TestProcess;
}

async function startNode(folder: string, region: string, port = 0): Promise<ReleaseNode> {
  const args = ['node', '-p', String(port), '-m', '64', '--region', region, '--fabric', 'off', '--json'];
  const command = [process.execPath, join(folder, 'bin', 'volley'), ...args] as const;
  const server = new TestProcess(command[0], command.slice(1), { VOLLEY_CONFIG: '', HOME: '/nonexistent' });
  try {
    await server.until('line of the node', () => server.stdout.includes('\n'), PATIENCE_MS);
  } catch (error) {
    await server.kill();
    throw error;
  }
  const told = JSON.parse(server.stdout.split('\n')[0]!) as { port: number };
  return { name: `127.0.0.1:${told.port}`, port: told.port, region, process: server };
}

/** A client of some release that loads, and uploads when it has a prefix for that. */
class ReleaseClient {
  readonly process: TestProcess;

  constructor(folder: string, nodes: readonly ReleaseNode[], prefix: string | null) {
    const list = nodes.map(({ name }) => name).join();
    const uploads = prefix === null ? '0' : '1';
    this.process = new TestProcess(process.execPath, [
      CLIENT,
      folder,
      list,
      prefix ?? '',
      uploads,
      ...IMAGES,
    ]);
  }

  get lines(): { loaded?: string; uploaded?: string; code?: string; message?: string }[] {
    const whole = this.process.stdout.split('\n').slice(0, -1);
    return whole.map((line) => JSON.parse(line));
  }

  /** Waits until it has done some more that went well. */
  async goesOn(): Promise<void> {
    const done = () => this.lines.filter(({ code }) => code === undefined).length;
    const before = done();
    await this.process.until(
      'work of a client',
      () => {
        const ended = this.process.child.exitCode !== null;
        if (ended)
          throw new Error(`a client ended: ${this.process.stdout.slice(-500)} ${this.process.stderr}`);
        return done() >= before + LINES;
      },
      PATIENCE_MS,
    );
  }

  async end(): Promise<string[]> {
    this.process.child.stdin!.end();
    assert.is(
      await this.process.ended(PATIENCE_MS),
      0,
      this.process.stdout.slice(-500) + this.process.stderr,
    );
    return this.lines.flatMap(({ uploaded }) => uploaded ?? []);
  }
}

test('nodes, then clients of 0.1.0 are replaced one by one while others load and upload; nothing is lost', async () => {
  const old = await lastRelease();
  const folder = mkdtempSync('/dev/shm/volley-test-');
  const nodes: ReleaseNode[] = [];
  const clients: ReleaseClient[] = [];
  const started = (client: ReleaseClient) => {
    clients.push(client);
    return client;
  };
  try {
    for (let i = 0; i < 3; i++) nodes.push(await startNode(old, join(folder, `region${i}`)));
    await withCluster(nodes, async (cluster) => {
      // The last release's client stores the first images, so that they are as it makes them.
      assert.equal(await cluster.images(), []);
    });
    const seeding = new TestProcess(
      process.execPath,
      ['--input-type=module', '-e', SEED, old, nodes.map(({ name }) => name).join(), ...IMAGES],
      { CONTENT: join(ROOT, 'dist', 'test', 'support', 'named-content.js') },
    );
    assert.is(await seeding.ended(PATIENCE_MS), 0, seeding.stderr);

    const uploader = started(new ReleaseClient(old, nodes, 'old '));
    const reader = started(new ReleaseClient(old, nodes, null));
    await Promise.all([uploader.goesOn(), reader.goesOn()]);
    for (const [index, node] of nodes.entries()) {
      node.process.signal('SIGTERM');
      await node.process.ended(PATIENCE_MS);
      nodes[index] = await startNode(ROOT, node.region, node.port);
      await Promise.all([uploader.goesOn(), reader.goesOn()]);
    }
    await reader.end();
    const newReader = started(new ReleaseClient(ROOT, nodes, null));
    await Promise.all([uploader.goesOn(), newReader.goesOn()]);
    const byOld = await uploader.end();
    const newUploader = started(new ReleaseClient(ROOT, nodes, 'new '));
    await Promise.all([newUploader.goesOn(), newReader.goesOn()]);
    await newReader.end();
    const byNew = await newUploader.end();

    await withCluster(nodes, async (cluster) => {
      for (const name of [...IMAGES, ...byOld, ...byNew])
        assert.ok((await loadBytes(cluster, name)).bytes.equals(contentOf(name)), name);
      const images = await cluster.images();
      assert.ok(images.every(({ missingChunks, damaged }) => missingChunks === 0 && damaged === null));
    });
    assert.ok(byOld.length > 3 && byNew.length > 0);

    // What a client of 0.1.0 that was forgotten says of an image that the new one stored.
    const args = [
      'load',
      byNew[0]!,
      '--out',
      join(folder, 'out'),
      '--nodes',
      nodes.map(({ name }) => name).join(),
    ];
    const late = new TestProcess(process.execPath, [join(old, 'bin', 'volley'), ...args]);
    assert.is(await late.ended(PATIENCE_MS), 1);
    assert.match(late.stderr, 'its version is 2, this program reads 1');
  } finally {
    for (const { process } of [...nodes, ...clients]) await process.kill();
    rmSync(folder, { recursive: true, force: true });
  }
});

const SEED = `
const [folder, nodes, ...images] = process.argv.slice(1);
const { Cluster } = await import(folder + '/dist/client/index.js');
const { contentOf } = await import(process.env.CONTENT);
const cluster = await Cluster.connect({ nodes: nodes.split(',') });
for (const name of images) await cluster.upload(contentOf(name), { name });
await cluster.close();
`;

test.run();
