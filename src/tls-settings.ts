import { readFileSync } from 'node:fs';
import { authoritiesFault } from './authorities.js';
import { checkKeys, readConfig } from './config.js';
import { VolleyError } from './errors.js';
import { pathOf } from './file-path.js';
import { systemWords } from './system-error.js';

/** How a client speaks TLS to nodes. */
export interface TlsOptions {
  /** Authorities whose certificates are believed, PEM; default those that Node knows. */
  ca?: string | Buffer;
  /** This client's certificate chain and private key, PEM, for nodes that ask. */
  cert?: string | Buffer;
  key?: string | Buffer;
  /** The name in the nodes' certificates; default the host in the node list. */
  serverName?: string;
}

/** The options --tls… of a command. */
export interface TlsFlags {
  tls?: boolean;
  tlsCa?: string;
  tlsCert?: string;
  tlsKey?: string;
  tlsServerName?: string;
}

const FILE_KEYS = ['ca', 'cert', 'key', 'server-name'];

/**
 * How to speak TLS, or null for not at all: from the options, else VOLLEY_TLS (1), VOLLEY_TLS_CA, _CERT, _KEY and
 * _SERVER_NAME, else the config file's "tls" (`true`, or an object of "ca", "cert", "key" and "server-name"). Each value is
 * taken from the first that tells it; any of them turns TLS on.
 * @throws VolleyError ERR_VOLLEY_USAGE for a config file that is not as it should be, ERR_VOLLEY_FILE
 */
export function chooseTls(flags: TlsFlags): TlsOptions | null {
  const { env } = process;
  const file = configuredTls();
  const ca = flags.tlsCa || env.VOLLEY_TLS_CA || file?.ca;
  const cert = flags.tlsCert || env.VOLLEY_TLS_CERT || file?.cert;
  const key = flags.tlsKey || env.VOLLEY_TLS_KEY || file?.key || cert;
  const serverName = flags.tlsServerName || env.VOLLEY_TLS_SERVER_NAME || file?.['server-name'];
  const isWanted = flags.tls || env.VOLLEY_TLS === '1' || file !== null;
  if (!isWanted && !ca && !cert && !serverName) return null;
  return {
    ...(ca ? { ca: readAuthorities(ca) } : {}),
    ...(cert ? { cert: read('certificate', cert), key: read('private key', key!) } : {}),
    ...(serverName ? { serverName } : {}),
  };
}

function configuredTls(): Record<string, string> | null {
  const config = readConfig();
  const tls = config?.fields.tls;
  if (!config || tls === undefined || tls === false) return null;
  if (tls === true) return {};
  if (typeof tls === 'object' && tls !== null && !Array.isArray(tls)) {
    checkKeys(config, tls as Record<string, unknown>, FILE_KEYS, 'tls.');
    if (Object.values(tls).every((value) => typeof value === 'string')) return tls as Record<string, string>;
  }
  const form = `true, or an object of texts: ${FILE_KEYS.join(', ')}`;
  throw new VolleyError(
    'ERR_VOLLEY_USAGE',
    `the config file ${config.path} cannot be used: "tls" is ${form}`,
  );
}

function readAuthorities(path: string): Buffer {
  const pem = read('authorities', path);
  const fault = authoritiesFault(pem);
  if (fault === null) return pem;
  throw new VolleyError('ERR_VOLLEY_FILE', `TLS: the authorities ${path} cannot be used: ${fault}`);
}

function read(what: string, path: string): Buffer {
  try {
    return readFileSync(pathOf(path));
  } catch (error) {
    const words = `TLS: the ${what} ${path} cannot be read: ${systemWords(error)}`;
    throw new VolleyError('ERR_VOLLEY_FILE', words, { cause: error });
  }
}
