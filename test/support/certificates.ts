import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Files in PEM, made by openssl for this process alone. */
export interface Certificates {
  folder: string;
  /** The authority of the others. */
  ca: string;
  /** For 127.0.0.1 and localhost. */
  cert: string;
  key: string;
  /** Of a client. */
  clientCert: string;
  clientKey: string;
  /** An authority of nobody. */
  otherCa: string;
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'ignore'] });
}

/** An authority of its own, certificates for a node and a client. They are gone at the end of the process. */
export function makeCertificates(): Certificates {
  const folder = mkdtempSync(join(tmpdir(), 'volley-tls-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string) => join(folder, name);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const authority = (name: string) => {
    const paths = ['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)];
    openssl('req', '-x509', ...key, ...paths, '-days', '2', '-subj', `/CN=${name}`);
  };
  const signed = (name: string, extension: string) => {
    writeFileSync(file(`${name}.ext`), extension);
    openssl(
      'req',
      ...key,
      '-keyout',
      file(`${name}.key`),
      '-out',
      file(`${name}.csr`),
      '-subj',
      `/CN=${name}`,
    );
    const by = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial'];
    const paths = ['-in', file(`${name}.csr`), '-out', file(`${name}.pem`), '-extfile', file(`${name}.ext`)];
    openssl('x509', '-req', ...by, ...paths, '-days', '2');
    chmodSync(file(`${name}.key`), 0o600);
  };
  authority('ca');
  authority('other');
  signed('node', 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  signed('client', 'extendedKeyUsage=clientAuth\n');
  return {
    folder,
    ca: file('ca.pem'),
    cert: file('node.pem'),
    key: file('node.key'),
    clientCert: file('client.pem'),
    clientKey: file('client.key'),
    otherCa: file('other.pem'),
  };
}
