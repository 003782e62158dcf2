import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** Something that listens where a node should, and is none: does with each connection what the test says. */
export class Peer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  private static async start(onConnection: (socket: Socket) => void): Promise<Peer> {
    const server = createServer();
    const peer = new Peer(server);
    server.on('connection', (socket: Socket) => {
      peer.#sockets.add(socket);
      socket.on('error', () => {});
      onConnection(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return peer;
  }

  /** Starts a peer, does the work, closes it. */
  static async use(
    onConnection: (socket: Socket) => void,
    work: (peer: Peer) => Promise<void>,
  ): Promise<void> {
    const peer = await Peer.start(onConnection);
    try {
      await work(peer);
    } finally {
      await peer.close();
    }
  }

  get name(): string {
    return `127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  private async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }
}
