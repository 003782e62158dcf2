import { type FileHandle, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CpioWriter } from '../../bench/support/cpio-writer.js';
import { findExecutable } from '../../hypervisor-shim/executable.js';
import { VolleyError } from '../../src/errors.js';
import { ROOT } from '../../src/root.js';
import type { KernelModule } from './modules.js';

/** Mount points and folders that init.sh expects. */
const FOLDERS = ['bin', 'dev', 'host', 'modules', 'proc', 'root', 'sys', 'top', 'vm'];

export interface InitrdContent {
  modules: readonly KernelModule[];
  /** A script for /bin/sh, run in the overlay over the host's root. */
  command: string;
  nonce: string;
}

/**
 * Writes the VM's initrd into a file without a name, so that nothing is left behind however this process ends.
 * @returns the open file; others reach it as /proc/PID/fd/N until it is closed
 * @throws VolleyError ERR_VOLLEY_SETUP when busybox is not installed
 */
export async function writeInitrd({ modules, command, nonce }: InitrdContent): Promise<FileHandle> {
  const busybox = findExecutable('busybox');
  if (!busybox) throw new VolleyError('ERR_VOLLEY_SETUP', 'busybox is not installed; run: npm run setup');
  const files: [path: string, content: Buffer, permissions: number][] = [
    ['bin/busybox', await readFile(busybox), 0o755],
    ['init', await readFile(join(ROOT, 'test', 'verbs', 'init.sh')), 0o755],
    ['vm/command', Buffer.from(command), 0o644],
    ['vm/nonce', Buffer.from(nonce), 0o600],
    ['modules/order', Buffer.from(modules.map(({ name }) => `${name}\n`).join('')), 0o644],
    ...modules.map(({ name, content }): [string, Buffer, number] => [`modules/${name}.ko`, content, 0o644]),
  ];
  const file = await openNameless();
  try {
    const archive = new CpioWriter(file);
    for (const folder of FOLDERS) await archive.addDirectory(folder);
    for (const [path, content, permissions] of files) {
      await archive.addFile(path, permissions, content.length, [content]);
    }
    await archive.end();
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function openNameless(): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), 'volley-verbs-'));
  try {
    return await open(join(folder, 'initrd'), 'wx+', 0o600);
  } finally {
    await rm(folder, { recursive: true });
  }
}
