import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { rejects } from './support/rejection.js';
import { readModules } from './verbs/modules.js';

const test = suite("the verbs VM's kernel modules");

/** What is read of a module: its section .modinfo. */
const moduleOf = (depends: string) => Buffer.from(`\x7fELF…\0license=GPL\0depends=${depends}\0`, 'latin1');

/** A kernel's folder as a package has it. @param files paths below kernel/, and what modules.builtin lists if not null */
function kernelFolder(files: Record<string, Buffer>, builtIn: string[] | null): string {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const [path, content] of Object.entries(files)) {
    const file = join(folder, 'kernel', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    if (path.startsWith('packed/')) execFileSync('xz', ['--check=crc32', file]);
  }
  if (builtIn) writeFileSync(join(folder, 'modules.builtin'), builtIn.map((path) => `${path}\n`).join(''));
  return folder;
}

const FILES = {
  'drivers/net/virtio_net.ko': moduleOf('virtio,net-failover'),
  'drivers/net/net_failover.ko': moduleOf(''),
  'drivers/virtio/virtio.ko': moduleOf(''),
};

test('modules come behind what they depend on, whether named with dashes or underscores', async () => {
  const modules = await readModules(kernelFolder(FILES, null), ['virtio-net']);
  assert.equal(
    modules.map(({ name }) => name),
    ['virtio', 'net_failover', 'virtio_net'],
  );
});

test('packed modules are unpacked, and so are those that they depend on', async () => {
  const packed = { 'packed/rdma_rxe.ko': moduleOf('ib_core'), 'packed/ib-core.ko': moduleOf('') };
  const modules = await readModules(kernelFolder(packed, null), ['rdma_rxe']);
  assert.equal(modules, [
    { name: 'ib_core', content: packed['packed/ib-core.ko'] },
    { name: 'rdma_rxe', content: packed['packed/rdma_rxe.ko'] },
  ]);
});

test('what the kernel has built in is left out, asked for or depended on', async () => {
  const { 'drivers/virtio/virtio.ko': _, ...files } = FILES;
  const folder = kernelFolder(files, [
    'kernel/drivers/virtio/virtio.ko',
    'kernel/drivers/virtio/virtio-pci.ko',
  ]);
  const modules = await readModules(folder, ['virtio_pci', 'virtio_net']);
  assert.equal(
    modules.map(({ name }) => name),
    ['net_failover', 'virtio_net'],
  );
});

test('a module that is neither there nor built in is named, with the folder', async () => {
  const folder = kernelFolder(FILES, []);
  await rejects(readModules(folder, ['overlay']), 'ERR_VOLLEY_SETUP', `${folder} has no module overlay`);
});

test.run();
