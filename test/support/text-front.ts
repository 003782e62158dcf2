import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

interface FrontOptions {
  /** What happens to a connection whose first byte is of the binary protocol. */
  onBinary: 'error' | 'hang up' | 'silence' | 'pass';
  /** Commands of the text protocol that are answered with ERROR, where they stand at the beginning of what is sent. */
  refuses: readonly string[];
}

/** Stands before a memcached as a proxy does, and knows less than it. */
export class TextFront {
  connections = 0;
  binaryConnections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, port: number, options: FrontOptions) {
    this.#server = server;
    server.on('connection', (client: Socket) => this.#join(client, port, options));
  }

  static async use(
    port: number,
    options: FrontOptions,
    work: (front: TextFront) => Promise<void>,
  ): Promise<void> {
    const server = createServer();
    const front = new TextFront(server, port, options);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      await work(front);
    } finally {
      server.close();
      for (const socket of front.#sockets) socket.destroy();
      await once(server, 'close');
    }
  }

  get name(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #join(client: Socket, port: number, { onBinary, refuses }: FrontOptions): void {
    this.connections++;
    const node = connect(port, '127.0.0.1');
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
    let isBinary: boolean | null = null;
    client.on('data', (data) => {
      const isFirst = isBinary === null;
      isBinary ??= data[0] === 0x80 && onBinary !== 'pass';
      if (isBinary && isFirst) {
        this.binaryConnections++;
        if (onBinary === 'error') client.write('ERROR\r\n');
        if (onBinary === 'hang up') client.destroy();
      }
      if (isBinary) return;
      const command = /^\w+/.exec(data.toString('latin1', 0, 16))?.[0] ?? '';
      if (refuses.includes(command))
        client.write('ERROR\r\n'.repeat(data.toString('latin1').split('\n').length - 1));
      else node.write(data);
    });
  }
}
