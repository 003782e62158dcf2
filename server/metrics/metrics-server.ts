import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { VolleyError } from '../../src/errors.js';
import { formatAddress } from '../listen-address.js';
import type { Exposition, StatsTopics } from './exposition.js';

const CONNECTIONS_MAX = 32;
/** Milliseconds in which a request must have come whole. */
const REQUEST_TIMEOUT_MS = 5000;
const HEADER_BYTES_MAX = 4096;

/** What /health tells. */
export interface Health {
  /** `serving`, or why not: `starting`, `draining`. */
  status: 'starting' | 'serving' | 'draining';
  name: string;
  epoch: string;
  uptimeSeconds: number;
  items: number;
}

/** Serves /metrics and /health over HTTP. */
export class MetricsServer {
  /** The port listened on; 0 before listen(). */
  port = 0;
  private readonly server: Server;
  /** Made, with the package behind it, when metrics are first asked for. */
  private exposition: Promise<Exposition> | undefined;

  constructor(
    private readonly stats: StatsTopics,
    private readonly health: () => Health,
  ) {
    this.server = createServer(
      {
        headersTimeout: REQUEST_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        maxHeaderSize: HEADER_BYTES_MAX,
      },
      (request, response) => this.answer(request, response),
    );
    this.server.maxConnections = CONNECTIONS_MAX;
  }

  /** @throws VolleyError ERR_VOLLEY_ADDRESS */
  async listen({ host, port }: { host: string; port: number }): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', (error) => {
        const where = formatAddress(host, port);
        const text = `cannot serve metrics on ${where}: ${error.message}; give another --metrics-listen`;
        reject(new VolleyError('ERR_VOLLEY_ADDRESS', text, { cause: error }));
      });
      this.server.listen({ host, port }, resolve);
    });
    // A connection that cannot be accepted is one scrape less.
    this.server.removeAllListeners('error').on('error', () => {});
    const bound = this.server.address();
    if (bound !== null && typeof bound === 'object') this.port = bound.port;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split('?')[0];
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    if (!isRead) reply(response, 405, 'text/plain', 'only GET and HEAD\n');
    else if (path === '/metrics') {
      this.exposition ??= openExposition(this.stats);
      const exposition = await this.exposition;
      reply(response, 200, exposition.contentType, await exposition.text());
    } else if (path === '/health') {
      const health = this.health();
      const code = health.status === 'serving' ? 200 : 503;
      reply(response, code, 'application/json', `${JSON.stringify(health)}\n`);
    } else reply(response, 404, 'text/plain', 'there are /metrics and /health\n');
  }

  /** Ends at once, with requests under way. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeAllConnections();
    await closed;
  }
}

async function openExposition(stats: StatsTopics): Promise<Exposition> {
  const { Exposition } = await import('./exposition.js');
  return new Exposition(stats);
}

function reply(response: ServerResponse, code: number, type: string, body: string): void {
  response.writeHead(code, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
