import type { Socket } from 'node:net';
import { createSecureContext, createServer, type SecureContext, type Server, TLSSocket } from 'node:tls';
import { type CertificateOptions, readCertificates } from './certificates.js';
import type { NodeOptions } from './options.js';

export type TlsGateOptions = CertificateOptions & Pick<NodeOptions, 'tlsVerify' | 'loginTimeoutMs'>;

/** Has clients shake hands before they are served. */
export class TlsGate {
  private readonly server: Server;
  private secureContext: SecureContext;

  /**
   * @param onSecure called with the socket to serve
   * @param onFailed called when a client did not get through; its socket is closed then
   * @throws VolleyError ERR_VOLLEY_FILE
   */
  constructor(
    private readonly options: TlsGateOptions,
    onSecure: (socket: TLSSocket) => void,
    onFailed: (reason: string) => void,
  ) {
    const { tlsVerify, loginTimeoutMs } = options;
    const certificates = readCertificates(options);
    this.secureContext = createSecureContext(certificates);
    this.server = createServer(
      {
        ...certificates,
        requestCert: tlsVerify !== 'none',
        rejectUnauthorized: tlsVerify === 'require',
        handshakeTimeout: Math.max(1, loginTimeoutMs),
      },
      onSecure,
    );
    this.server.on('tlsClientError', (error, socket) => {
      // OpenSSL's messages end with the place in its source.
      onFailed(error.message.replace(/^[^:]*:error:[^:]*:[^:]*:[^:]*:([^:]*):.*$/s, '$1').trim());
      socket.destroy();
    });
  }

  /** Takes a client that has just connected. Its socket is closed when it does not get through in time. */
  admit(socket: Socket): void {
    this.server.emit('connection', socket);
  }

  /** Reads the files anew, for clients to come. @throws VolleyError ERR_VOLLEY_FILE; all stays as it was then */
  reload(): void {
    const certificates = readCertificates(this.options);
    this.secureContext = createSecureContext(certificates);
    this.server.setSecureContext(certificates);
  }

  /** TLS over the socket of a client that is told something and not served, so it need not show a certificate. */
  speakTo(socket: Socket): Socket {
    return new TLSSocket(socket, { isServer: true, secureContext: this.secureContext });
  }
}
