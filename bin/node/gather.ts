import { checkKeys, readConfig } from '../../src/config.js';
import { VolleyError } from '../../src/errors.js';
import type { Given, Setting } from './setting.js';
import { SETTINGS, settingOf, variableOf } from './settings.js';

const PREFIX = 'VOLLEY_NODE_';

/**
 * The settings that the environment's VOLLEY_NODE_… variables give. An empty variable gives none.
 * @throws VolleyError ERR_VOLLEY_USAGE for a variable that means nothing
 */
export function givenByEnvironment(environment: NodeJS.ProcessEnv): Given[] {
  const byVariable = new Map(SETTINGS.map((setting) => [variableOf(setting), setting]));
  const given: Given[] = [];
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith(PREFIX) || !text) continue;
    const setting = byVariable.get(variable);
    if (!setting) {
      const help = `it is ${PREFIX} and the name of a setting, such as ${variableOf(SETTINGS[0]!)}`;
      throw new VolleyError(
        'ERR_VOLLEY_USAGE',
        `the environment's ${variable} is no setting of a node; ${help}`,
      );
    }
    given.push({ setting, text, origin: variable, source: 'environment' });
  }
  return given;
}

/**
 * The settings in the config file's "node".
 * @param path of a file that must be there; else the user's config file, if there is one
 * @throws VolleyError ERR_VOLLEY_USAGE for what is unknown or has the wrong form
 */
export function givenByFile(path: string | undefined): Given[] {
  const config = readConfig(path);
  const fields = config?.fields.node;
  if (!config || fields === undefined) return [];
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    throw new VolleyError('ERR_VOLLEY_USAGE', `${config.path}: "node" is no object of settings`);
  }
  const section = fields as Record<string, unknown>;
  const names = SETTINGS.map(({ name }) => name);
  checkKeys(config, section, names, 'node.');
  return Object.entries(section).map(([name, value]) => {
    const setting = settingOf(name)!;
    const origin = `${config.path}: "${name}"`;
    return { setting, text: textOf(setting, value, origin), origin, source: 'file' };
  });
}

function textOf(setting: Setting, value: unknown, origin: string): string {
  const isPlain = (one: unknown) => ['string', 'number', 'boolean'].includes(typeof one);
  if (setting.isList && Array.isArray(value) && value.length > 0 && value.every(isPlain))
    return value.join(',');
  if (isPlain(value)) return String(value);
  const form = setting.isList ? 'a text or an array of texts' : 'a text, a number, true or false';
  throw new VolleyError('ERR_VOLLEY_USAGE', `${origin} must be ${form}`);
}

/** Of several that give the same setting the last counts, or, for lists, all of them together. */
export function merge(given: readonly Given[]): Map<string, Given> {
  const merged = new Map<string, Given>();
  for (const one of given) {
    const before = merged.get(one.setting.name);
    const text = one.setting.isList && before ? `${before.text},${one.text}` : one.text;
    merged.set(one.setting.name, { ...one, text });
  }
  return merged;
}
