import { readFileSync, statSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { authoritiesFault } from '../src/authorities.js';
import { VolleyError } from '../src/errors.js';
import { pathOf } from '../src/file-path.js';
import { systemWords } from '../src/system-error.js';
import type { NodeOptions } from './options.js';

export type CertificateOptions = Pick<
  NodeOptions,
  'tlsCert' | 'tlsKey' | 'tlsCa' | 'tlsCiphers' | 'tlsMinVersion'
>;

/**
 * Reads what TLS needs from its files, and checks that it fits together.
 * @throws VolleyError ERR_VOLLEY_FILE that names the file; nothing of a key is told
 */
export function readCertificates(options: CertificateOptions): SecureContextOptions {
  const { tlsCert, tlsKey, tlsCa, tlsCiphers, tlsMinVersion } = options;
  const cert = read('certificate', tlsCert!);
  const keyFile = tlsKey ?? tlsCert!;
  if ((statSync(pathOf(keyFile), { throwIfNoEntry: false })?.mode ?? 0) & 0o004) {
    throw unusable('private key', keyFile, `everybody on this host may read it; run: chmod 640 ${keyFile}`);
  }
  const secure: SecureContextOptions = {
    cert,
    key: tlsKey === null ? cert : read('private key', tlsKey),
    minVersion: tlsMinVersion === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
    ...(tlsCa === null ? {} : { ca: readAuthorities(tlsCa) }),
    ...(tlsCiphers === '' ? {} : { ciphers: tlsCiphers }),
  };
  try {
    createSecureContext(secure);
  } catch (error) {
    const files = [tlsCert, tlsKey, tlsCa].filter((file) => file !== null).join(', ');
    throw unusable('certificate', files, (error as Error).message, error);
  }
  return secure;
}

function readAuthorities(path: string): Buffer {
  const pem = read('authorities', path);
  const fault = authoritiesFault(pem);
  if (fault !== null) throw unusable('authorities', path, fault);
  return pem;
}

function read(what: string, path: string): Buffer {
  try {
    return readFileSync(pathOf(path));
  } catch (error) {
    throw unusable(what, path, systemWords(error), error);
  }
}

function unusable(what: string, path: string, fault: string, cause?: unknown): VolleyError {
  return new VolleyError('ERR_VOLLEY_FILE', `TLS: the ${what} ${path} cannot be used: ${fault}`, { cause });
}
