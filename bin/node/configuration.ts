import { type NodeOptions, resolveOptions } from '../../server/options.js';
import { givenByEnvironment, givenByFile, merge } from './gather.js';
import type { Given, Setting } from './setting.js';
import { SETTINGS } from './settings.js';

/** One setting as it is in effect. */
export interface Effective {
  name: string;
  /** As it could be given again; empty for nothing. */
  value: string;
  source: Given['source'] | 'default';
  /** The flag, variable, or file and key; empty for a default. */
  origin: string;
}

/** How a node is to run, from all that can tell it. */
export interface Configuration {
  /** What was given; the rest is left to the node. */
  asked: Partial<NodeOptions>;
  options: NodeOptions;
  effective: Effective[];
}

/**
 * Puts a configuration together. The one rule: a flag counts more than the environment, the environment more than the config
 * file, the file more than the default.
 * @param flags in the order in which they were given
 * @param file another config file than the user's
 * @throws VolleyError ERR_VOLLEY_USAGE for what cannot be understood or is out of bounds
 */
export function configure(
  flags: readonly Given[],
  environment: NodeJS.ProcessEnv,
  file: string | undefined,
): Configuration {
  const layers = [givenByFile(file), givenByEnvironment(environment), flags].map(merge);
  const given = new Map(layers.flatMap((layer) => [...layer]));
  const fields = [...given.values()].map(({ setting, text, origin }) => [
    setting.field,
    setting.read(text, origin),
  ]);
  const asked = Object.fromEntries(fields) as Partial<NodeOptions>;
  const options = resolveOptions(asked);
  const effective = SETTINGS.map((setting) => describe(setting, options, given.get(setting.name)));
  return { asked, options, effective };
}

function describe(setting: Setting, options: NodeOptions, given: Given | undefined): Effective {
  const { name, field, write } = setting;
  const value = options[field];
  const text = write ? write(value as never) : wordOf(value);
  return { name, value: text, source: given?.source ?? 'default', origin: given?.origin ?? '' };
}

function wordOf(value: NodeOptions[keyof NodeOptions]): string {
  if (value === null) return '';
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  return String(value);
}

/** Lines for people: name, value, and where it comes from. */
export function formatConfiguration(effective: readonly Effective[]): string[] {
  const width = Math.max(...effective.map(({ name, value }) => name.length + value.length)) + 3;
  return effective.map(({ name, value, source, origin }) => {
    const where = origin === '' ? source : `${source}: ${origin}`;
    return `${`${name} = ${value}`.padEnd(width)}  # ${where}`;
  });
}
