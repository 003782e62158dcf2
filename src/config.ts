import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Credentials, checkCredentials } from './credentials.js';
import { VolleyError } from './errors.js';
import { pathOf } from './file-path.js';
import { homeFolder } from './home.js';
import { systemWords } from './system-error.js';

const NODES_DEFAULT = ['127.0.0.1:11211'];

/** Where a list of storage nodes came from. */
export type NodesOrigin = '--nodes' | 'VOLLEY_NODES' | 'config file' | 'default';

/** What a config file may tell. */
const KEYS = ['nodes', 'user', 'password', 'tls', 'node'] as const;

/** A config file's content. */
export interface ConfigFile {
  path: string;
  mode: number;
  /** Its source, to tell where in it something stands. */
  text: string;
  fields: Record<string, unknown>;
}

/** The user's config file: $VOLLEY_CONFIG, else ~/.config/volley/config.json; null for a user without a home. */
function configPath(): string | null {
  const home = homeFolder();
  return process.env.VOLLEY_CONFIG || (home && join(home, '.config', 'volley', 'config.json'));
}

/**
 * The storage nodes to use: from the option (`host:port,…`), else VOLLEY_NODES, else the config file
 * (`{"nodes": ["host:port", …]}`), else 127.0.0.1:11211.
 * @throws VolleyError ERR_VOLLEY_USAGE when the config file is not as it should be
 */
export function chooseNodes(option: string | undefined): { nodes: string[]; origin: NodesOrigin } {
  if (option !== undefined) return { nodes: split(option), origin: '--nodes' };
  if (process.env.VOLLEY_NODES) return { nodes: split(process.env.VOLLEY_NODES), origin: 'VOLLEY_NODES' };
  const configured = configuredNodes();
  if (configured) return { nodes: configured, origin: 'config file' };
  return { nodes: NODES_DEFAULT, origin: 'default' };
}

function split(list: string): string[] {
  return list
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

/**
 * Who to be to the storage nodes: VOLLEY_USER and VOLLEY_PASSWORD, else "user" and "password" of the config file, which
 * then has to be closed to everybody but its owner, else nobody (null). There is no option for them: everybody on a
 * machine can read the command lines of its processes.
 * @throws VolleyError ERR_VOLLEY_USAGE when only one of the two is given, or one is not acceptable
 */
export function chooseCredentials(): Credentials | null {
  const { VOLLEY_USER: user, VOLLEY_PASSWORD: password } = process.env;
  const chosen = user || password ? { user, password } : configuredCredentials();
  if (chosen === null) return null;
  if (!chosen.user || !chosen.password) {
    const names = chosen.user
      ? 'VOLLEY_USER is set and VOLLEY_PASSWORD'
      : 'VOLLEY_PASSWORD is set and VOLLEY_USER';
    throw new VolleyError('ERR_VOLLEY_USAGE', `${names} is not; set both`);
  }
  const credentials = { user: chosen.user, password: chosen.password };
  checkCredentials(credentials);
  return credentials;
}

/** The config file's nodes, or null when there is no such file or it names none. */
function configuredNodes(): string[] | null {
  const config = readConfig();
  if (!config || config.fields.nodes === undefined) return null;
  const { nodes } = config.fields;
  if (Array.isArray(nodes) && nodes.every((node) => typeof node === 'string')) return nodes;
  throw configError(config.path, '"nodes" is no array of texts');
}

/** The config file's user and password, or null when there is no such file or it tells neither. */
function configuredCredentials(): Credentials | null {
  const config = readConfig();
  const { user, password } = config?.fields ?? {};
  if (!config || (user === undefined && password === undefined)) return null;
  const isText = (value: unknown) => typeof value === 'string' && value !== '';
  if (!isText(user) || !isText(password)) {
    throw configError(config.path, '"user" and "password" are not both there and texts');
  }
  if ((config.mode & 0o077) !== 0) {
    throw configError(
      config.path,
      `it holds a password and others may use it; run: chmod 600 ${config.path}`,
    );
  }
  return { user: user as string, password: password as string };
}

/**
 * Reads the config file: $VOLLEY_CONFIG, else ~/.config/volley/config.json, or null when there is none.
 * @param given another file, which must be there
 * @throws VolleyError ERR_VOLLEY_USAGE when it cannot be read, is no JSON object or tells what is unknown
 */
export function readConfig(given?: string): ConfigFile | null {
  const path = given ?? configPath();
  if (path === null) return null;
  try {
    const descriptor = openSync(pathOf(path), 'r');
    try {
      const { mode } = fstatSync(descriptor);
      const text = readFileSync(descriptor, 'utf8');
      const fields = parseJson(path, text);
      const config = { path, mode, text, fields };
      checkKeys(config, fields, KEYS, '');
      return config;
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (error instanceof VolleyError) throw error;
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (isMissing && given === undefined && !process.env.VOLLEY_CONFIG) return null;
    throw configError(path, systemWords(error));
  }
}

/**
 * Checks that `fields`, which is a part of the config file, has no keys but these.
 * @param prefix what stands before the keys in messages, such as `node.`
 * @throws VolleyError ERR_VOLLEY_USAGE that names file, line and key
 */
export function checkKeys(
  { path, text }: ConfigFile,
  fields: Record<string, unknown>,
  known: readonly string[],
  prefix: string,
): void {
  const key = Object.keys(fields).find((name) => !known.includes(name));
  if (key === undefined) return;
  const at = text.indexOf(JSON.stringify(key));
  const line = at < 0 ? '' : ` in line ${text.slice(0, at).split('\n').length}`;
  throw new VolleyError(
    'ERR_VOLLEY_USAGE',
    `the config file ${path} cannot be used: "${prefix}${key}"${line} is unknown; known are ${known.join(', ')}`,
  );
}

/** What JSON.parse says of a fault quotes the text, which may hold a password; only the line is told. */
function parseJson(path: string, text: string): Record<string, unknown> {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch (error) {
    const position = /at position (\d+)/.exec(String(error))?.[1];
    const line = position ? ` (line ${text.slice(0, Number(position)).split('\n').length})` : '';
    throw configError(path, `it is not JSON${line}`);
  }
  if (typeof fields === 'object' && fields !== null && !Array.isArray(fields)) {
    return fields as Record<string, unknown>;
  }
  throw configError(path, 'it holds no JSON object');
}

function configError(path: string, fault: string): VolleyError {
  const form = '{"nodes": ["host:port"], "user": "…", "password": "…"}';
  return new VolleyError(
    'ERR_VOLLEY_USAGE',
    `the config file ${path} cannot be used: ${fault}; its form is ${form}`,
  );
}
