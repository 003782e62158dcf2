import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { contentDigest } from '../src/digest.js';
import { chunkKey } from '../src/keys.js';
import { runCli, startCli } from './support/cli.js';
import { CHUNK_BYTES, randomImage } from './support/images.js';
import { startMemcached, VOLLEY_COMMAND, withNodes } from './support/nodes.js';
import { TestProcess } from './support/processes.js';
import { deleteItem } from './support/raw-client.js';
import { withStoredImage } from './support/stored-image.js';
import { TrafficProxy } from './support/traffic-proxy.js';

const test = suite('cli load file');

test('an empty image makes an empty file', async () => {
  await withStoredImage(Buffer.alloc(0), async (node, folder) => {
    const file = join(folder, 'file');
    assert.is((await runCli(['load', 'a', '--out', file, '--nodes', node.name])).code, 0);
    assert.is(statSync(file).size, 0);
    assert.is((await runCli(['load', 'a', '--out', '-', '--nodes', node.name])).stdout, '');
  });
});

test('a load that fails leaves no file, an older file as it was, and nothing on stdout', async () => {
  const content = randomImage(10);
  await withStoredImage(content, async (node, folder) => {
    await deleteItem(node.port, chunkKey(contentDigest(content.subarray(CHUNK_BYTES, 2 * CHUNK_BYTES))));
    const old = join(folder, 'old');
    writeFileSync(old, 'older');
    for (const out of [join(folder, 'new'), old, '-']) {
      const { code, stdout, stderr } = await runCli(['load', 'a', '--out', out, '--nodes', node.name]);
      assert.is(code, 1);
      assert.is(stdout, '');
      assert.match(stderr, /^volley: image "a": chunk 1 of 10 on node .* is not there; .*\n$/);
    }
    assert.equal(readdirSync(folder), ['old']);
    assert.is(readFileSync(old, 'utf8'), 'older');
  });
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} in mid-load leaves no file`, async () => {
    await withStoredImage(randomImage(200), async (node, folder) => {
      await TrafficProxy.use(node.port, async (proxy) => {
        const cli = startCli(['load', 'a', '--out', join(folder, 'file'), '--nodes', proxy.name]);
        let sent = false;
        proxy.onTraffic = async (_, fromNode) => {
          if (fromNode < 2_000_000) return;
          if (!sent) cli.signal(signal);
          sent = true;
          // What is on its way stays there: only the signal can end the load.
          await new Promise(() => {});
        };
        assert.is(await cli.ended(), 1);
        assert.match(cli.stderr, /^volley: interrupted.*\n$/);
        assert.equal(readdirSync(folder), []);
      });
    });
  });
}

test('SIGINT while whoever reads stdout stalls ends a load with one line', async () => {
  await withStoredImage(randomImage(200), async (node) => {
    const cli = startCli(['load', 'a', '--out', '-', '--nodes', node.name]);
    cli.child.stdout!.once('data', () => {
      cli.child.stdout!.pause();
      cli.signal('SIGINT');
      // The kernel's pipe is long full; what is in it is read only so that the process can be seen to close it.
      setTimeout(() => cli.child.stdout!.resume(), 200);
    });
    assert.is(await cli.ended(), 1);
    assert.match(cli.stderr, /^volley: interrupted[^\n]*\n$/);
  });
});

test('output that cannot be written is a failure, told in one line', async () => {
  await withStoredImage(randomImage(10), async (node) => {
    for (const args of ['images', 'images --json', 'load a --out -']) {
      const [command, script] = VOLLEY_COMMAND;
      const line = `exec ${command} ${script} ${args} --nodes ${node.name} > /dev/full`;
      const shell = new TestProcess('sh', ['-c', line]);
      assert.is(await shell.ended(), 1, args);
      assert.match(shell.stderr, /^volley: cannot write to stdout: no space left on device; [^\n]*\n$/);
    }
  });
});

test('a second signal ends a load at once, and leaves no file either', async () => {
  await withStoredImage(randomImage(200), async (node, folder) => {
    await TrafficProxy.use(node.port, async (proxy) => {
      proxy.onTraffic = async (_, fromNode) => {
        if (fromNode > 2_000_000) await new Promise(() => {});
      };
      const cli = startCli(['load', 'a', '--out', join(folder, 'file'), '--nodes', proxy.name]);
      await cli.until('start of the load', () => proxy.fromNode > 2_000_000);
      cli.signal('SIGINT');
      cli.signal('SIGINT');
      cli.signal('SIGTERM');
      assert.is(await cli.ended(), 1);
      assert.equal(readdirSync(folder), []);
    });
  });
});

test('SIGINT in mid-upload ends it with one line, and what was sent is used when it is run again', async () => {
  await withNodes([() => startMemcached()], async (node) => {
    await TrafficProxy.use(node!.port, async (proxy) => {
      const content = randomImage(300);
      const cli = startCli(['upload', '-', '--name', 'a', '--nodes', proxy.name]);
      cli.child.stdin!.write(content.subarray(0, 200 * CHUNK_BYTES));
      let sent = false;
      proxy.onTraffic = (toNode) => {
        if (toNode < 2_000_000 || sent) return;
        sent = true;
        // By then it waits for more of its stdin.
        setTimeout(() => cli.signal('SIGINT'), 500);
      };
      assert.is(await cli.ended(), 1);
      assert.match(cli.stderr, /^volley: interrupted.*\n$/);
      proxy.onTraffic = () => {};
      const again = await runCli(
        ['upload', '-', '--name', 'a', '--nodes', proxy.name, '--json'],
        {},
        content,
      );
      const { presentChunks, sentChunks } = JSON.parse(again.stdout);
      assert.ok(presentChunks > 30, String(presentChunks));
      assert.is(presentChunks + sentChunks, 300);
    });
  });
});

test.run();
