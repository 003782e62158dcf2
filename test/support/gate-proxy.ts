import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { settler } from '../../client/deadline.js';

/**
 * Stands before a node and holds back what a client sends from the first part on that a test waits for, so that a test
 * decides in which order two clients do things.
 */
export class GateProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #isAwaited: (data: string) => boolean;
  readonly #held = settler<void>();
  readonly #opened = settler<void>();

  private constructor(server: Server, nodePort: number, isAwaited: (data: string) => boolean) {
    this.#server = server;
    this.#isAwaited = isAwaited;
    server.on('connection', (client: Socket) => this.#join(client, nodePort));
  }

  /** @param isAwaited whether this part of what a client sends (latin1) is the one to hold back */
  static async use(
    nodePort: number,
    isAwaited: (data: string) => boolean,
    work: (proxy: GateProxy) => Promise<void>,
  ): Promise<void> {
    const server = createServer();
    const proxy = new GateProxy(server, nodePort, isAwaited);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      await work(proxy);
    } finally {
      server.close();
      proxy.open();
      for (const socket of proxy.#sockets) socket.destroy();
      await once(server, 'close');
    }
  }

  get name(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Settles when the awaited part is held back. */
  get held(): Promise<void> {
    return this.#held.promise;
  }

  /** Passes on what was held back. */
  open(): void {
    this.#opened.resolve();
  }

  #join(client: Socket, nodePort: number): void {
    const node = connect(nodePort, '127.0.0.1');
    for (const socket of [client, node]) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        node.destroy();
      });
    }
    node.pipe(client);
    client.on('data', async (data) => {
      client.pause();
      if (this.#isAwaited(data.toString('latin1'))) {
        this.#held.resolve();
        await this.#opened.promise;
      }
      node.write(data);
      client.resume();
    });
  }
}
