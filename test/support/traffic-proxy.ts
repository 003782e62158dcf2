import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * Stands before a node and counts what clients send through it, so that a test can act at a given byte of an upload or
 * a load: kill the node, stop it, cut the connections.
 */
export class TrafficProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #port: number;
  /** Is told of all bytes that came for the node and from it; a part is passed on when what it returns has settled. */
  onTraffic: (toNode: number, fromNode: number) => unknown = () => {};
  #toNode = 0;
  #fromNode = 0;

  private constructor(server: Server, nodePort: number) {
    this.#server = server;
    this.#port = nodePort;
    server.on('connection', (client: Socket) => this.#join(client));
  }

  private static async start(nodePort: number): Promise<TrafficProxy> {
    const server = createServer();
    const proxy = new TrafficProxy(server, nodePort);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  /** Starts a proxy, does the work, closes it. */
  static async use(nodePort: number, work: (proxy: TrafficProxy) => Promise<void>): Promise<void> {
    const proxy = await TrafficProxy.start(nodePort);
    try {
      await work(proxy);
    } finally {
      await proxy.close();
    }
  }

  get name(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Bytes that have come from the node. */
  get fromNode(): number {
    return this.#fromNode;
  }

  /** Cuts all connections; new ones are taken. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  private async close(): Promise<void> {
    this.#server.close();
    this.cut();
    await once(this.#server, 'close');
  }

  #join(client: Socket): void {
    const node = connect(this.#port, '127.0.0.1');
    for (const [from, to] of [
      [client, node],
      [node, client],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => {});
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.on('data', async (bytes) => {
        if (from === client) this.#toNode += bytes.length;
        else this.#fromNode += bytes.length;
        from.pause();
        await this.onTraffic(this.#toNode, this.#fromNode);
        if (to.write(bytes)) from.resume();
        else to.once('drain', () => from.resume());
      });
    }
  }
}
