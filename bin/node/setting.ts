import type { NodeOptions } from '../../server/index.js';

/**
 * One thing about a storage node that can be set. Its name is its long flag, its key in the config file's "node", and, in
 * capitals and with underscores behind VOLLEY_NODE_, its variable in the environment.
 */
export interface Setting {
  name: string;
  /** The flag's letter, memcached's where memcached has the flag. */
  letter?: string;
  /** What the value is called in the help; null for a switch, which reads `on` or `off`. */
  value: string | null;
  help: string;
  field: keyof NodeOptions;
  /** The option's value. @throws VolleyError ERR_VOLLEY_USAGE that names `origin` (`-m`, `VOLLEY_NODE_PORT`…) */
  read: (text: string, origin: string) => unknown;
  /** The value as it could be given again, for --dump-config. Default: as JavaScript writes it, null as nothing. */
  write?: (value: never) => string;
  /** What stands for the default in the help, where there is one. */
  byDefault?: string;
  /** Whether several flags (or an array in the config file) add up to one value, separated by commas. */
  isList?: boolean;
}

/** A setting that was given, and where. */
export interface Given {
  setting: Setting;
  text: string;
  /** `-m`, `--memory-limit`, `VOLLEY_NODE_MEMORY_LIMIT`, or the config file's path and key. */
  origin: string;
  source: 'flag' | 'environment' | 'file';
}
