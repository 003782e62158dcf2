import { connect as connectPlain, isIP, type OnReadOpts, type Socket } from 'node:net';
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect as connectSecure,
  createSecureContext,
  type SecureContext,
} from 'node:tls';
import { authoritiesFault } from '../src/authorities.js';
import { VolleyError } from '../src/errors.js';
import type { TlsOptions } from '../src/tls-settings.js';

/** How one node is spoken to by TLS. */
export interface NodeTls {
  context: SecureContext;
  /** What its certificate has to be for. */
  serverName: string;
}

/** What a client needs to speak TLS to nodes. */
export interface ClientTls {
  context: SecureContext;
  /** The name in all nodes' certificates, or null for each node's host. */
  serverName: string | null;
}

/** Where a connection leads to. */
export interface Destination {
  /** An IP address. */
  address: string;
  port: number;
  /** Null for a plain connection. */
  tls: NodeTls | null;
}

/** @throws VolleyError ERR_VOLLEY_FILE when certificate, key or authorities are not what they should be */
export function makeClientTls({ ca, cert, key, serverName }: TlsOptions): ClientTls {
  const fault = ca === undefined ? null : authoritiesFault(ca);
  if (fault !== null)
    throw new VolleyError('ERR_VOLLEY_FILE', `TLS: the authorities cannot be used: ${fault}`);
  try {
    const context = createSecureContext({ ca, cert, key, minVersion: 'TLSv1.2' });
    return { context, serverName: serverName ?? null };
  } catch (error) {
    const words = `TLS: certificate, key or authorities cannot be used: ${(error as Error).message}`;
    throw new VolleyError('ERR_VOLLEY_FILE', words, { cause: error });
  }
}

/** Connects; `onOpen` is called when bytes can be sent, over TLS after the certificate was found good. */
export function dial({ address, port, tls }: Destination, onOpen: () => void, onread?: OnReadOpts): Socket {
  const options = { host: address, port, ...(onread ? { onread } : {}) };
  if (!tls) return connectPlain({ ...options, noDelay: true }, onOpen);
  const socket = connectSecure(
    { ...options, ...identityOf(address, tls), secureContext: tls.context },
    onOpen,
  );
  return socket.setNoDelay(true);
}

/** Speaks TLS over a connection that stands; `onOpen` is called when the certificate was found good. */
export function secure(socket: Socket, address: string, tls: NodeTls, onOpen: () => void): Socket {
  return connectSecure({ socket, ...identityOf(address, tls), secureContext: tls.context }, onOpen);
}

/** What a node's certificate has to be for: a name, or its address, where a zone does not belong. */
function identityOf(address: string, { serverName }: NodeTls): ConnectionOptions {
  if (!isIP(serverName)) return { servername: serverName };
  const bare = address.replace(/%.*/, '');
  return {
    host: address,
    checkServerIdentity: (_host, certificate) => checkServerIdentity(bare, certificate),
  };
}

/** Whether somebody answers a TLS handshake there, whatever comes of it. */
export function speaksTls(address: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    // Nothing is sent: whether the certificate is good does not matter.
    const socket = connectSecure({ host: address, port, rejectUnauthorized: false, timeout: timeoutMs });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('secureConnect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.on('error', (error: NodeJS.ErrnoException) => end(/ALERT/.test(error.code ?? '')));
    socket.once('close', () => end(false));
  });
}
