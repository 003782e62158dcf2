import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runCli } from './support/cli.js';
import { randomImage } from './support/images.js';
import { startMemcached, startVolleyNode, withNodes } from './support/nodes.js';

const test = suite('cli commands');
const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** Runs a command that must succeed with one JSON document on stdout and nothing on stderr. */
async function json(args: string[], nodes: string, input?: Buffer) {
  const { code, stdout, stderr } = await runCli([...args, '--json'], { VOLLEY_NODES: nodes }, input);
  assert.is(code, 0, stderr);
  assert.is(stderr, '');
  return JSON.parse(stdout);
}

test('an image goes through upload, images, load, stats and rm, each told as one JSON document', async () => {
  await withNodes([() => startVolleyNode(), () => startMemcached()], async (volley, stock) => {
    const nodes = `${volley!.name},${stock!.name}`;
    const content = randomImage(50, 7);
    const file = join(folder, 'my disk.img');
    writeFileSync(file, content);

    const stored = await json(['upload', file], nodes);
    assert.is(stored.name, 'my disk.img');
    assert.is(stored.sentChunks, 50);
    assert.is(stored.replaced, false);
    assert.is(stored.kind, 'raw');
    const piped = await json(['upload', '-', '--name', 'x/ü', '--chunk-size', '64k'], nodes, content);
    assert.is(piped.chunks, 25);

    const { images } = await json(['images'], nodes);
    assert.equal(
      images.map(({ name, bytes }: { name: string; bytes: number }) => [name, bytes]),
      [
        ['my disk.img', content.length],
        ['x/ü', content.length],
      ],
    );

    const out = join(folder, 'out.img');
    const loaded = await json(['load', 'x/ü', '--out', out], nodes);
    assert.ok(readFileSync(out).equals(content));
    assert.is(loaded.bytes, content.length);
    assert.equal(Object.keys(loaded.stages), ['connectMs', 'tablesMs', 'manifestMs', 'readMs', 'verifyMs']);
    assert.equal(loaded.nodes.map(({ transport }: { transport: string }) => transport).sort(), [
      'local',
      'tcp',
    ]);

    const stats = await json(['stats'], nodes);
    assert.equal(stats.nodes.map(({ kind }: { kind: string }) => kind).sort(), ['memcached', 'volley']);
    const removed = await json(['rm', 'my disk.img'], nodes);
    assert.is(removed.removedChunks, 50);
    assert.is((await json(['rm', '--orphans', '--min-age', '0'], nodes)).removedChunks, 0);
    assert.is((await json(['images'], nodes)).images.length, 1);
  });
});

test('without --json a person is told the same', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    const environment = { VOLLEY_NODES: node!.name };
    const content = randomImage(3);
    const run = (args: string[]) => runCli(args, environment, content);
    assert.match(
      (await run(['upload', '-', '--name', 'a'])).stdout,
      /^stored "a": 98\.3 kB, 3 chunks of 32 KiB/,
    );
    assert.match((await run(['images'])).stdout, /^NAME +SIZE +CHUNKS.*\na +98\.3 kB +3 × 32 KiB +raw/);
    assert.match((await run(['stats'])).stdout, /memcached 1\..* tcp/);
    const out = join(folder, 'person.img');
    assert.match(
      (await run(['load', 'a', '--out', out])).stdout,
      /^loaded "a" into .*\n {2}connect .*ms.*verify/,
    );
    const piped = await runCli(['load', '--out', '-', 'a'], environment);
    assert.is(piped.code, 0);
    assert.is(piped.stderr, '');
    assert.is(piped.stdout.length > 0, true);
    assert.match((await run(['rm', 'a'])).stdout, /^removed "a": frees 3 chunks \(98\.3 kB\) within 3 s/);
    assert.match((await run(['rm', '--orphans'])).stdout, /^removed 0 chunks/);
    assert.match((await run(['images'])).stdout, /^no images/);
  });
});

test('a kernel that is none is refused, other files are not taken for kernels', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    const file = join(folder, 'no-kernel');
    writeFileSync(file, randomImage(1));
    const refused = await runCli(['upload', file, '--kernel', '--nodes', node!.name]);
    assert.is(refused.code, 1);
    assert.match(refused.stderr, /^volley: .*no-kernel.*\n$/);
    assert.is((await runCli(['upload', file, '--nodes', node!.name])).code, 0);
  });
});

test.run();
