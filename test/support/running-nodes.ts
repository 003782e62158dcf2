import { StorageNode } from '../../server/index.js';
import type { NodeOptions } from '../../server/options.js';
import { RawClient } from './memcached.js';

/** Storage nodes in this process, on free ports. */
export class RunningNodes {
  private readonly running = new Set<StorageNode>();

  /** @param defaults of the nodes; over tcp alone unless told */
  constructor(private readonly defaults: Partial<NodeOptions>) {}

  readonly start = async (options: Partial<NodeOptions> = {}): Promise<StorageNode> => {
    const node = new StorageNode({ port: 0, local: 'off', fabric: 'off', ...this.defaults, ...options });
    this.running.add(node);
    await node.start();
    return node;
  };

  /** Stops all that were started. */
  readonly stop = async (): Promise<void> => {
    for (const node of this.running) await node.stop();
    this.running.clear();
  };
}

export function clientOf(node: StorageNode): RawClient {
  return new RawClient({ host: '127.0.0.1', port: node.port });
}

/** All that is answered to commands over a connection of their own. */
export function askNode(node: StorageNode, commands: string): Promise<string> {
  return clientOf(node).send(`${commands}quit\r\n`).answer();
}

/** The command that stores a value. */
export function setting(key: string, value: string): string {
  return `set ${key} 0 0 ${value.length}\r\n${value}\r\n`;
}

/** What a get of one key is answered when it holds the value. */
export function hit(key: string, value: string): string {
  return `VALUE ${key} 0 ${value.length}\r\n${value}\r\nEND\r\n`;
}
