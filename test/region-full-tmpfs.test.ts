// Region files on a file system that is full: a node has its memory, or says in one line that it has not.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../src/root.js';
import { VOLLEY_COMMAND } from './support/nodes.js';
import { TestProcess } from './support/processes.js';
import { ask } from './support/raw-client.js';
import { setting } from './support/running-nodes.js';

const test = suite('region file on a full tmpfs');
const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
const mount = join(folder, 'tmpfs');
const library = join(folder, 'greedy.so');
const region = join(mount, 'region');
const filler = join(mount, 'filler');
const GREEDY = { LD_PRELOAD: library, VOLLEY_TEST_FILLER: filler };

let isMounted = false;
try {
  execFileSync('mkdir', [mount]);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12M', 'volley-test', mount], { stdio: 'pipe' });
  isMounted = true;
} catch (error) {
  console.log(`skipped: no tmpfs can be mounted: ${(error as Error).message.split('\n')[0]}`);
}
process.once('exit', () => {
  if (isMounted) execFileSync('umount', [mount]);
  rmdirSync(mount);
  rmSync(folder, { recursive: true, force: true });
});
const tmpfsTest = isMounted ? test : test.skip;
if (isMounted) {
  const source = join(ROOT, 'test/support/greedy-neighbour.c');
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, source]);
}

function start(environment: NodeJS.ProcessEnv = {}): TestProcess {
  const options = ['-p', '0', '--json', '-m', '4', '--local', 'off', '--fabric', 'off', '--region', region];
  const [command, ...args] = VOLLEY_COMMAND;
  return new TestProcess(command, [...args, 'node', ...options], environment);
}

/** What is answered by a node that serves. */
async function say(node: TestProcess, request: string, ending: string): Promise<string> {
  await node.until('line of the node', () => node.stdout.includes('\n'));
  const { port } = JSON.parse(node.stdout.split('\n')[0]!) as { port: number };
  return (await ask(port, request, ending)).toString('latin1');
}

async function countItems(node: TestProcess): Promise<number> {
  return Number(/STAT curr_items (\d+)/.exec(await say(node, 'stats\r\n', 'END\r\n'))![1]);
}

/** Leaves a region file behind that holds so many items. */
async function leave(items: number): Promise<void> {
  rmSync(region, { force: true });
  rmSync(filler, { force: true });
  const node = start();
  const sets = Array.from({ length: items - 1 }, (_, i) => setting(`key${i}`, 'v'));
  await say(node, `${sets.join('')}${setting('last', 'v')}get last\r\n`, 'END\r\n');
  await node.kill();
}

tmpfsTest('a node keeps the memory that it needs, whoever takes what it gives back', async () => {
  await leave(500);
  const node = start(GREEDY);
  assert.is(await countItems(node), 500);
  assert.is(
    await say(node, `${setting('more', 'v')}get more\r\n`, 'END\r\n'),
    'STORED\r\nVALUE more 0 1\r\nv\r\nEND\r\n',
  );
  await node.kill();
});

tmpfsTest('a node that cannot have its memory again says so, and the next one has every item', async () => {
  await leave(9000);
  const node = start(GREEDY);
  assert.is(await node.ended(), 1, `${node.child.signalCode} ${node.stderr}`);
  assert.match(node.stderr, /^[^\n]*region file [^\n]*make its file system larger[^\n]*\n$/);
  rmSync(filler);
  const next = start();
  assert.is(await countItems(next), 9000);
  await next.kill();
});

tmpfsTest('a new region file that does not fit is refused, and one that has holes, too', async () => {
  await leave(500);
  const sparse = join(mount, 'sparse');
  execFileSync('cp', ['--sparse=always', region, sparse]);
  execFileSync('mv', [sparse, region]);
  try {
    execFileSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=64k'], { stdio: 'pipe' });
  } catch {
    // It ends when the file system is full.
  }
  const holes = start();
  assert.is(await holes.ended(), 1, `${holes.child.signalCode}`);
  assert.match(
    holes.stderr,
    /cannot have all of its memory: No space left on device; make its file system larger/,
  );
  rmSync(region);
  const fresh = start();
  assert.is(await fresh.ended(), 1);
  assert.match(fresh.stderr, /cannot have \d+ MiB: No space left/);
});

test.run();
