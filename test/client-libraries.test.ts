import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type NodeOptions, StorageNode } from '../server/index.js';
import { ROOT } from '../src/root.js';
import { ALICE, authFile } from './support/auth-file.js';

const test = suite('client libraries that people use');

const TIMEOUT_MS = 30_000;
const CLIENTS = join(ROOT, 'test', 'clients');
const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'volley-clients-'));
const libmemcached = join(folder, 'libmemcached');

/** Runs a client against a node of its own, which it leaves no memory of. */
async function drive(
  command: string,
  args: (port: string) => string[],
  options: Partial<NodeOptions> = {},
): Promise<void> {
  const node = new StorageNode({ port: 0, local: 'off', fabric: 'off', quarantineMs: 0, ...options });
  await node.start();
  try {
    await run(command, args(String(node.port)), { timeout: TIMEOUT_MS });
  } finally {
    await node.stop();
  }
}

test('libmemcached, by the text and the binary protocol', async () => {
  execFileSync('cc', ['-Wall', '-o', libmemcached, join(CLIENTS, 'drive-libmemcached.c'), '-lmemcached']);
  for (const protocol of ['text', 'binary']) await drive(libmemcached, (port) => [port, protocol]);
});

test('libmemcached that authenticates by SASL', async () => {
  const login = (password: string) => (port: string) => [port, 'binary', ALICE.user, password];
  await drive(libmemcached, login(ALICE.password), { authFile: authFile() });
  try {
    await drive(libmemcached, login('wrong'), { authFile: authFile() });
  } catch (error) {
    assert.match(String(error), /AUTHENTICATION FAILURE/i);
    return;
  }
  assert.unreachable('a wrong password was taken');
});

test('pymemcache', async () => {
  // Debian's python, which has Debian's packages.
  await drive('/usr/bin/python3', (port) => [join(CLIENTS, 'drive-pymemcache.py'), port]);
});

test('nothing is left of them', () => {
  rmSync(folder, { recursive: true });
});

test.run();
