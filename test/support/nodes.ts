import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { memcachedPath } from '../../bench/support/memcached-path.js';
import { Cluster, type ConnectOptions } from '../../client/index.js';
import { ROOT } from '../../src/root.js';
import { HOST } from './host.js';
import { TestProcess } from './processes.js';

/** A storage node that a test has started. */
export interface TestNode {
  /** `host:port` */
  name: string;
  port: number;
  process: TestProcess;
  /** The unix socket that hands out its region. */
  socket: string | null;
}

// It takes `node` from there: the one that runs the tests.
process.env.PATH = `${dirname(process.execPath)}:${process.env.PATH}`;

/** The command line that runs bin/volley from the compiled tree. */
export const VOLLEY_COMMAND = ['sh', join(ROOT, 'bin', 'volley')] as const;

/** Starts Debian's memcached on a free port. @param args more of its options, such as `-m 1` */
export async function startMemcached(...args: string[]): Promise<TestNode> {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  const portFile = join(folder, 'port');
  const read = () => {
    try {
      return Number(/TCP INET: (\d+)/.exec(readFileSync(portFile, 'latin1'))?.[1] ?? 0);
    } catch {
      return 0;
    }
  };
  const options = ['-u', 'root', '-l', '127.0.0.1', '-p', '-1', '-t', '1', ...args];
  const server = new TestProcess(memcachedPath(), options, { MEMCACHED_PORT_FILENAME: portFile });
  try {
    await server.until('port of memcached', () => read() > 0);
    return { name: `127.0.0.1:${read()}`, port: read(), process: server, socket: null };
  } catch (error) {
    await server.kill();
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Starts a Volley node on a free port. @param args more of its options, such as `-m 64` */
export function startVolleyNode(...args: string[]): Promise<TestNode> {
  return startVolleyNodeAt(HOST, [], args);
}

/**
 * Starts a Volley node somewhere else.
 * @param host the address that it listens on
 * @param within a command line that runs the one that follows it, such as `nsenter …`
 */
export async function startVolleyNodeAt(
  host: string,
  within: readonly string[],
  args: readonly string[],
): Promise<TestNode> {
  const [command, ...rest] = [...within, ...VOLLEY_COMMAND, 'node', '-l', host, '-p', '0', '--json', ...args];
  const server = new TestProcess(command!, rest);
  try {
    await server.until('line of the node', () => server.stdout.includes('\n'));
    const line = JSON.parse(server.stdout.split('\n')[0]!) as { port: number; local: string | null };
    const { port, local } = line;
    return { name: `${host}:${port}`, port, process: server, socket: local };
  } catch (error) {
    await server.kill();
    throw error;
  }
}

/** Starts nodes, does the work, kills them. */
export async function withNodes(
  starts: readonly (() => Promise<TestNode>)[],
  work: (...nodes: TestNode[]) => Promise<void>,
): Promise<void> {
  const started = await Promise.allSettled(starts.map((start) => start()));
  const nodes = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  try {
    const failed = started.find((one) => one.status === 'rejected');
    if (failed) throw (failed as PromiseRejectedResult).reason;
    await work(...nodes);
  } finally {
    await Promise.all(nodes.map((node) => node.process.kill()));
    // A node that is killed cannot remove its socket itself.
    for (const { socket } of nodes) if (socket) rmSync(socket, { force: true });
  }
}

/** Connects a client to nodes, does the work, closes it. */
export async function withCluster(
  nodes: readonly { name: string }[],
  work: (cluster: Cluster) => Promise<void>,
  options: Omit<ConnectOptions, 'nodes'> = {},
): Promise<void> {
  const cluster = await Cluster.connect({ nodes: nodes.map(({ name }) => name), ...options });
  try {
    await work(cluster);
  } finally {
    await cluster.close();
  }
}
