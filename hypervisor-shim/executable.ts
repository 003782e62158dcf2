import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The path of a program: `name` itself when it holds a slash, else the first one in PATH. Undefined when there is none. */
export function findExecutable(name: string): string | undefined {
  const candidates = name.includes('/')
    ? [name]
    : (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder || '.', name));
  return candidates.find(isExecutable);
}

/** What is wrong with a program that findExecutable() does not find. */
export function whyNotFound(name: string): string {
  return name.includes('/') && existsSync(name) ? 'is not executable' : 'is not installed';
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * Wraps a command so that the kernel kills it when this process dies in whatever way (PR_SET_PDEATHSIG, through
 * util-linux' setpriv). Without setpriv the command is returned as it is.
 */
export function tiedToThisProcess(command: string, args: string[]): [command: string, args: string[]] {
  const setpriv = findExecutable('setpriv');
  return setpriv ? [setpriv, ['--pdeathsig', 'KILL', '--', command, ...args]] : [command, args];
}

/** Whether tiedToThisProcess() has what it needs. */
export function canTieToThisProcess(): boolean {
  return findExecutable('setpriv') !== undefined;
}

/** The environment for child processes: what programs need, and nothing that was preloaded into this one. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const names = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'LC_ALL', 'XDG_RUNTIME_DIR'];
  return Object.fromEntries(names.map((name) => [name, process.env[name]]));
}
