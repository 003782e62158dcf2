import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../src/root.js';
import { TestProcess } from './support/processes.js';

const test = suite('interrupting the demo');

const DEMO = join(ROOT, 'dist', 'bench', 'demo.js');

/** Command lines of running processes in which one of the words stands. */
function processesWith(words: string[]): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
      return words.some((word) => line.includes(word)) ? [`${pid} ${line}`] : [];
    } catch {
      return [];
    }
  });
}

const sharedMemory = () => readdirSync('/dev/shm').filter((name) => name.includes('volley'));

const MOMENTS: [string, NodeJS.Signals, string, number][] = [
  ['while the initrd is made', 'SIGINT', 'kernel ', 0],
  ['while nodes start', 'SIGHUP', 'sha256 of the payload', 50],
  ['while images are uploaded', 'SIGTERM', 'nodes ', 20],
  ['while a guest boots', 'SIGINT', 'GB/s', 400],
  ["while QEMU's own guest boots", 'SIGTERM', 'GB/s', 2600],
];

for (const [when, signal, line, delayMs] of MOMENTS) {
  test(`${signal} ${when} leaves no process and no file`, async () => {
    const before = sharedMemory();
    const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
    try {
      const demo = new TestProcess(process.execPath, [DEMO, '--rounds', '9', '--payload', '2M'], {
        TMPDIR: folder,
      });
      await demo.until(`line "${line}"`, () => demo.stdout.includes(line));
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      demo.signal(signal);
      assert.is(await demo.ended(), 1, demo.stdout + demo.stderr);
      assert.is(demo.stderr.trim(), `demo: interrupted by ${signal}`);
      assert.equal(processesWith([folder, `/proc/${demo.pid}/fd`]), []);
      assert.equal(readdirSync(folder), []);
      assert.equal(sharedMemory(), before);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

test.run();
