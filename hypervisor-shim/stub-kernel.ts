import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { VolleyError } from '../src/errors.js';
import { type GuestMemory, native } from '../src/native.js';
import { ROOT } from '../src/root.js';

/**
 * What QEMU is given as its kernel: the real kernel's setup sectors, then the stub. It lives in a memfd, so that no
 * file is left behind however this process ends. Close it when QEMU has read it.
 * @throws VolleyError ERR_VOLLEY_SETUP when the stub is not assembled
 */
export function makeStubKernel(setup: Buffer): GuestMemory {
  const path = join(ROOT, 'build', 'stub.bin');
  if (!existsSync(path)) {
    throw new VolleyError('ERR_VOLLEY_SETUP', `the boot stub ${path} is not assembled; run: npm run setup`);
  }
  const stub = readFileSync(path);
  const file = native().GuestMemory.create(setup.length + stub.length);
  file.write(0, setup);
  file.write(setup.length, stub);
  return file;
}

/** A path under which another process of this user can open the memory as a file. */
export function pathOf(memory: GuestMemory): string {
  return `/proc/${process.pid}/fd/${memory.fd}`;
}
