import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { VolleyError } from '../../src/errors.js';

export interface KernelModule {
  /** As the kernel tells it, with underscores. */
  name: string;
  content: Buffer;
}

/**
 * Kernel modules with all they depend on, in an order in which they load. The package's modules.dep is only made when
 * it is installed, so dependencies are read from the modules themselves (`depends=` in their section .modinfo).
 * @param folder lib/modules/VERSION/kernel of a kernel whose modules are not compressed
 * @throws VolleyError ERR_VOLLEY_SETUP when one is not there
 */
export async function readModules(folder: string, names: readonly string[]): Promise<KernelModule[]> {
  const paths = await modulePaths(folder);
  const modules = new Map<string, KernelModule>();
  const add = async (name: string): Promise<void> => {
    if (modules.has(name)) return;
    const path = paths.get(name);
    if (!path) throw new VolleyError('ERR_VOLLEY_SETUP', `the kernel in ${folder} has no module ${name}`);
    const content = await readFile(path);
    for (const dependency of dependenciesIn(content)) await add(dependency);
    modules.set(name, { name, content });
  };
  for (const name of names) await add(plainName(name));
  return [...modules.values()];
}

async function modulePaths(folder: string): Promise<Map<string, string>> {
  const files = await readdir(folder, { recursive: true });
  const modules = files.filter((file) => file.endsWith('.ko'));
  return new Map(modules.map((file) => [plainName(basename(file, '.ko')), join(folder, file)]));
}

/** Files are named with dashes or underscores, modules always with underscores. */
function plainName(name: string): string {
  return name.replaceAll('-', '_');
}

function dependenciesIn(module: Buffer): string[] {
  const field = '\0depends=';
  const at = module.indexOf(field, 0, 'latin1');
  if (at < 0) return [];
  const start = at + field.length;
  const list = module.toString('latin1', start, module.indexOf(0, start));
  return list === '' ? [] : list.split(',').map(plainName);
}
