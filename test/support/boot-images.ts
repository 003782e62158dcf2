import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { DONE_MARKER, USERSPACE_MARKER, writeGuestInitrd } from '../../bench/support/guest-initrd.js';
import { type TestNode, VOLLEY_COMMAND, withNodes } from './nodes.js';
import { TestProcess } from './processes.js';
import { debianKernel } from './tiny-kernel.js';

const PAYLOAD_BYTES = 8 << 20;
/** An emulated guest on a busy machine takes its time. */
const COMMAND_TIMEOUT_MS = 120_000;
/** Options of volley boot by which the initrd's init is timed and awaited. */
export const MARKERS = ['--until', DONE_MARKER, '--userspace', USERSPACE_MARKER];
/** Options of volley boot that name the two images. */
export const IMAGES = ['--kernel', 'linux', '--initrd', 'initrd'];

/** How a command ended. */
export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs bin/volley against the nodes. */
export async function volley(nodes: readonly TestNode[], ...args: string[]): Promise<Ran> {
  const [command, script] = VOLLEY_COMMAND;
  const environment = { VOLLEY_NODES: nodes.map(({ name }) => name).join(',') };
  const process = new TestProcess(command, [script, ...args], environment);
  const code = await process.ended(COMMAND_TIMEOUT_MS);
  return { code, stdout: process.stdout, stderr: process.stderr };
}

/** Starts nodes, stores Debian's kernel as `linux` and an initrd as `initrd`, and tells the payload's digest. */
export async function withImages(
  starts: (() => Promise<TestNode>)[],
  work: (nodes: TestNode[], payloadSha256: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  try {
    const path = join(folder, 'initrd');
    const { payloadSha256 } = await writeGuestInitrd(path, PAYLOAD_BYTES);
    await withNodes(starts, async (...nodes) => {
      const kernel = await volley(nodes, 'upload', debianKernel(), '--kernel', '--name', 'linux');
      assert.is(kernel.code, 0, kernel.stderr);
      const initrd = await volley(nodes, 'upload', path, '--name', 'initrd');
      assert.is(initrd.code, 0, initrd.stderr);
      await work(nodes, payloadSha256);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
