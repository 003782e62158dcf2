import { chmodSync, rmSync } from 'node:fs';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { VolleyError } from '../src/errors.js';
import { formatAddress, type ListenAddress } from './listen-address.js';
import { claimSocketPath } from './local-socket.js';

/** Milliseconds of silence after which the system probes whether a client is still there. */
const KEEP_ALIVE_MS = 60_000;

export interface ListenersOptions {
  addresses: readonly ListenAddress[];
  port: number;
  backlog: number;
  /** @param plain whether TLS is not spoken on that listener even where the node has a certificate */
  onSocket: (socket: Socket, plain: boolean) => void;
  /** A connection could not be accepted (no descriptors left…). */
  onError: (error: Error) => void;
}

/** Where a node's memcached port is listened for: IP addresses, or a unix socket. */
export class Listeners {
  /** The first listener's port; 0 before it listens, and on a unix socket. */
  port = 0;
  private readonly servers: Server[] = [];

  constructor(private readonly options: ListenersOptions) {}

  /** @throws VolleyError ERR_VOLLEY_ADDRESS that names the address; close() then closes the others */
  async listen(): Promise<void> {
    const { addresses, backlog } = this.options;
    for (const { host, port, plain } of addresses) {
      // Where a free port is wanted, all addresses take the one that the first got.
      const wanted = port ?? (this.options.port || this.port);
      const server = await this.open({ host, port: wanted, backlog }, plain, formatAddress(host, wanted));
      const bound = server.address();
      if (this.port === 0 && bound !== null && typeof bound === 'object') this.port = bound.port;
    }
  }

  /**
   * Listens on a unix socket, whose clients speak plainly.
   * @param mode of the socket, such as 0o700: who may write to it may connect
   * @throws VolleyError ERR_VOLLEY_FILE when something else is there, ERR_VOLLEY_ADDRESS
   */
  async listenOnSocket(path: string, mode: number): Promise<void> {
    await claimSocketPath(path, '-s');
    rmSync(path, { force: true });
    // Nobody else may connect in between.
    const before = process.umask(0o777 & ~(mode & 0o700));
    try {
      await this.open({ path, backlog: this.options.backlog }, true, path);
    } finally {
      process.umask(before);
    }
    chmodSync(path, mode);
  }

  private async open(where: ListenOptions, plain: boolean, name: string): Promise<Server> {
    const { onSocket, onError } = this.options;
    const settings = {
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      // Whoever serves a client decides how its socket is read.
      pauseOnConnect: true,
    };
    const server = createServer(settings, (socket) => onSocket(socket, plain));
    this.servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, name)));
      server.listen(where, resolve);
    });
    server.removeAllListeners('error').on('error', onError);
    return server;
  }

  /** Stops listening. Resolves when all sockets that came by it are closed. */
  async close(): Promise<void> {
    await Promise.all(this.servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

function listenError(error: NodeJS.ErrnoException, name: string): VolleyError {
  const reasons: Record<string, string> = {
    EADDRINUSE: 'something listens there already; give another port with -p',
    EADDRNOTAVAIL: 'this host has no such address; give one that it has with -l',
    EACCES: 'this user may not use it; give a port above 1023 with -p, or another path with -s',
  };
  const reason = reasons[error.code ?? ''] ?? error.message;
  return new VolleyError('ERR_VOLLEY_ADDRESS', `cannot listen on ${name}: ${reason}`, { cause: error });
}
