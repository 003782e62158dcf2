import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { VolleyError } from './errors.js';
import { systemWords } from './system-error.js';

const NODES_DEFAULT = ['127.0.0.1:11211'];

/** Where a list of storage nodes came from. */
export type NodesOrigin = '--nodes' | 'VOLLEY_NODES' | 'config file' | 'default';

/** The user's config file: $VOLLEY_CONFIG, else ~/.config/volley/config.json. */
function configPath(): string {
  return process.env.VOLLEY_CONFIG || join(homedir(), '.config', 'volley', 'config.json');
}

/**
 * The storage nodes to use: from the option (`host:port,…`), else VOLLEY_NODES, else the config file
 * (`{"nodes": ["host:port", …]}`), else 127.0.0.1:11211.
 * @throws VolleyError ERR_VOLLEY_USAGE when the config file is not as it should be
 */
export function chooseNodes(option: string | undefined): { nodes: string[]; origin: NodesOrigin } {
  if (option !== undefined) return { nodes: split(option), origin: '--nodes' };
  if (process.env.VOLLEY_NODES) return { nodes: split(process.env.VOLLEY_NODES), origin: 'VOLLEY_NODES' };
  const configured = readConfig();
  if (configured) return { nodes: configured, origin: 'config file' };
  return { nodes: NODES_DEFAULT, origin: 'default' };
}

function split(list: string): string[] {
  return list
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

/** The config file's nodes, or null when there is no such file or it names none. */
function readConfig(): string[] | null {
  const path = configPath();
  let config: unknown;
  try {
    config = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (isMissing && !process.env.VOLLEY_CONFIG) return null;
    throw configError(path, systemWords(error));
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw configError(path, 'it holds no JSON object');
  }
  const { nodes } = config as { nodes?: unknown };
  if (nodes === undefined) return null;
  if (Array.isArray(nodes) && nodes.every((node) => typeof node === 'string')) return nodes;
  throw configError(path, '"nodes" is no array of texts');
}

function configError(path: string, fault: string): VolleyError {
  const form = '{"nodes": ["host:port"]}';
  return new VolleyError(
    'ERR_VOLLEY_USAGE',
    `the config file ${path} cannot be used: ${fault}; its form is ${form}`,
  );
}
