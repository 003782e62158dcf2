import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { VolleyError } from '../../src/errors.js';

/** The largest ones, of graphics, are a few MB. */
const MODULE_BYTES_MAX = 64 << 20;

export interface KernelModule {
  /** As the kernel tells it, with underscores. */
  name: string;
  content: Buffer;
}

/** Of the kernels so far, only older ones have these modules: newer ones have the same as plain functions. */
const ONLY_OLDER = ['crc32_generic'];

/**
 * Kernel modules with all they depend on, in an order in which they load. Those that the kernel has built in are left out.
 * The package's modules.dep is only made when it is installed, so dependencies are read from the modules themselves
 * (`depends=` in their section .modinfo).
 * @param folder lib/modules/VERSION of a kernel, its modules plain or packed by xz
 * @throws VolleyError ERR_VOLLEY_SETUP when one is not there
 */
export async function readModules(folder: string, names: readonly string[]): Promise<KernelModule[]> {
  const paths = await modulePaths(join(folder, 'kernel'));
  const builtIn = await builtInNames(folder);
  const modules = new Map<string, KernelModule>();
  const add = async (name: string): Promise<void> => {
    if (modules.has(name) || builtIn.has(name)) return;
    const path = paths.get(name);
    if (!path && ONLY_OLDER.includes(name)) return;
    if (!path) throw new VolleyError('ERR_VOLLEY_SETUP', `the kernel in ${folder} has no module ${name}`);
    const content = await readModule(path);
    for (const dependency of dependenciesIn(content)) await add(dependency);
    modules.set(name, { name, content });
  };
  for (const name of names) await add(plainName(name));
  return [...modules.values()];
}

async function modulePaths(folder: string): Promise<Map<string, string>> {
  const files = await readdir(folder, { recursive: true });
  const modules = files.filter((file) => /\.ko(\.xz)?$/.test(file));
  return new Map(modules.map((file) => [moduleName(file), join(folder, file)]));
}

/** What modules.builtin lists, a path a line; a kernel unpacked without that file has all as modules. */
async function builtInNames(folder: string): Promise<Set<string>> {
  const list = join(folder, 'modules.builtin');
  if (!existsSync(list)) return new Set();
  return new Set((await readFile(list, 'utf8')).split('\n').map(moduleName));
}

async function readModule(path: string): Promise<Buffer> {
  if (!path.endsWith('.xz')) return readFile(path);
  const { stdout } = await promisify(execFile)('xz', ['--decompress', '--stdout', path], {
    encoding: 'buffer',
    maxBuffer: MODULE_BYTES_MAX,
  });
  return stdout;
}

function moduleName(path: string): string {
  return plainName(basename(path).replace(/\.ko(\.xz)?$/, ''));
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
