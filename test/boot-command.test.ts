import { readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { IMAGES, volley, withImages } from './support/boot-images.js';
import { startVolleyNode, VOLLEY_COMMAND } from './support/nodes.js';
import { TestProcess } from './support/processes.js';

const test = suite('volley boot that does not come to its end');

const volleyNode = () => startVolleyNode('-m', '64');

/** On the command line of this file's guests, so that those of others are not taken for them. */
const MARK = `volley.test=${process.pid}.`;

/** Running QEMUs that a process of ours has started with memory of its own. */
function guests(): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
      return line.includes('qemu-system') && line.includes(MARK) ? [pid] : [];
    } catch {
      return [];
    }
  });
}

test('what goes wrong is one line and exit code 1, and no guest is left', async () => {
  await withImages([volleyNode, volleyNode], async (nodes) => {
    const cmdline = ['--cmdline', `console=ttyS0 panic=-1 ${MARK}`];
    const cases: [string[], RegExp, number][] = [
      [['--kernel', 'gone', '--initrd', 'initrd'], /there is no image "gone"/, 1],
      [['--kernel', 'initrd', '--initrd', 'initrd'], /image "initrd" is no x86 kernel/, 1],
      [[...IMAGES, '--memory', '64M'], /at least \d+M are needed/, 1],
      [[...IMAGES, '--qemu', '/nowhere/qemu'], /\/nowhere\/qemu is not installed/, 1],
      [[...IMAGES, '--until', 'never', '--timeout', '1'], /did not print "never" within 1 s/, 1],
      [[...IMAGES, '--memory', 'lots'], /is no size/, 2],
      [['--kernel', 'linux'], /gave up: Kernel panic - not syncing: VFS/, 1],
    ];
    for (const [args, words, code] of cases) {
      const ran = await volley(nodes, 'boot', ...args, ...cmdline);
      assert.is(ran.code, code, ran.stderr);
      assert.match(ran.stderr, words);
      if (code === 1) assert.is(ran.stderr.trim().split('\n').length, 1, ran.stderr);
    }
    // A node that has stopped answering, and one that is gone.
    nodes[0]!.process.signal('SIGSTOP');
    const hung = await volley(nodes, 'boot', ...IMAGES, ...cmdline, '--node-timeout', '500ms');
    assert.is(hung.code, 1);
    assert.match(hung.stderr, nodes[0]!.name);
    nodes[0]!.process.signal('SIGKILL');
    const gone = await volley(nodes, 'boot', ...IMAGES, ...cmdline);
    assert.is(gone.code, 1);
    assert.match(gone.stderr, nodes[0]!.name);
    assert.equal(guests(), []);
  });
});

test('an interrupted boot stops its guest', async () => {
  await withImages([volleyNode], async (nodes) => {
    const [command, script] = VOLLEY_COMMAND;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
      const args = [
        script,
        'boot',
        ...IMAGES,
        '--cmdline',
        `console=ttyS0 ${MARK}`,
        '--nodes',
        nodes[0]!.name,
      ];
      const process = new TestProcess(command, args);
      await process.until('kernel line', () => process.stdout.includes('Linux version'));
      process.signal(signal);
      assert.is(await process.ended(), signal === 'SIGKILL' ? null : 1);
      for (let i = 0; i < 100 && guests().length > 0; i++)
        await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(guests(), [], signal);
    }
  });
});

test.run();
