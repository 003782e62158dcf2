import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readAuthFile } from '../server/auth/auth-file.js';
import { StorageNode } from '../server/index.js';
import { temporaryFile } from './support/auth-file.js';
import {
  answers,
  countExtras,
  exptimeExtras,
  type Packet,
  request,
  storeExtras,
} from './support/binary-packets.js';
import { RawClient } from './support/memcached.js';

const test = suite('auth rights');
const MIB = 1024 * 1024;
const file = temporaryFile('writer:w:secret\nreader:r:secret read\nboth:b all\n');

/** Runs `work` against a node of its own. */
async function withNode(
  options: object,
  work: (port: number, node: StorageNode) => Promise<void>,
): Promise<void> {
  const node = new StorageNode({ port: 0, local: 'off', memoryBytes: 2 * MIB, authFile: file, ...options });
  await node.start();
  try {
    await work(node.port, node);
  } finally {
    await node.stop();
  }
}

async function login(port: number, user: string, password: string): Promise<RawClient> {
  const value = `${user} ${password}`;
  const client = new RawClient({ host: '127.0.0.1', port }).send(`set x 0 0 ${value.length}\r\n${value}\r\n`);
  assert.is(await client.answer('\r\n'), 'STORED\r\n');
  return client;
}

const DENIED = 'CLIENT_ERROR this user may only read\r\n';

test('a user who may only read gets, lists and asks, and changes nothing by the text protocol', async () => {
  await withNode({}, async (port, node) => {
    const writer = await login(port, 'writer', 'w:secret');
    assert.is(await writer.send('set a 5 0 1\r\n1\r\n').answer('\r\n'), 'STORED\r\n');
    const reader = await login(port, 'reader', 'r:secret');
    const refused = [
      'set a 0 0 3\r\nbad\r\n',
      'add b 0 0 3\r\nbad\r\n',
      'append a 0 0 3\r\nbad\r\n',
      'cas a 0 0 3 1\r\nbad\r\n',
      'delete a\r\n',
      'incr a 1\r\n',
      'decr a 1\r\n',
      'touch a 1\r\n',
      'gat 1 a\r\n',
      'gats 1 a a a\r\n',
      'flush_all\r\n',
      'verbosity 1\r\n',
      'stats reset\r\n',
      'stats detail on\r\n',
      'lru_crawler crawl all\r\n',
      'refresh_certs\r\n',
      'ms a 3\r\nbad\r\n',
      'md a\r\n',
      'md a I\r\n',
      'ma a\r\n',
      'mg a v T1\r\n',
      'mg c v N9\r\n',
      'mg a v R900\r\n',
    ];
    for (const command of refused) assert.is(await reader.send(command).answer('\r\n'), DENIED, command);
    assert.is(node.counters.deniedCommands, refused.length);
    assert.is(await reader.send('get a\r\n').answer('END\r\n'), 'VALUE a 5 1\r\n1\r\nEND\r\n');
    assert.is(await reader.send('mg a v f\r\n').answer('\r\n1\r\n'), 'VA 1 f5\r\n1\r\n');
    assert.match(await reader.send('stats\r\n').answer('END\r\n'), /STAT cmd_denied 23\r\n/);
    assert.match(await reader.send('lru_crawler metadump all\r\n').answer('END\r\n'), /key=a /);
    // A value that is thrown away ends where it should, also in pieces, and noreply keeps still.
    reader.send('set a 0 0 10 noreply\r\n01234');
    assert.match(await reader.send('56789\r\nversion\r\n').answer('\r\n'), /^VERSION/);
    assert.is(await writer.send('get a b c\r\n').answer('END\r\n'), 'VALUE a 5 1\r\n1\r\nEND\r\n');
    await Promise.all([writer.close(), reader.close()]);
  });
});

test('so it is by the binary protocol, with status 0x24', async () => {
  await withNode({}, async (port, node) => {
    const client = new RawClient({ host: '127.0.0.1', port });
    const ask = async (packet: Packet) => {
      client.send(request(packet));
      return answers(await client.packet())[0]!;
    };
    const plain = '\0reader\0r:secret';
    assert.is((await ask({ opcode: 0x21, key: 'PLAIN', value: plain })).status, 0);
    const refused: Packet[] = [
      { opcode: 0x01, key: 'a', extras: storeExtras(), value: 'x' },
      { opcode: 0x11, key: 'a', extras: storeExtras(), value: 'x' },
      { opcode: 0x0e, key: 'a', value: 'x' },
      { opcode: 0x04, key: 'a' },
      { opcode: 0x05, key: 'a', extras: countExtras(1n, 1n, 0) },
      { opcode: 0x1c, key: 'a', extras: exptimeExtras(1) },
      { opcode: 0x1d, key: 'a', extras: exptimeExtras(1) },
      { opcode: 0x08 },
      { opcode: 0x10, key: 'reset' },
    ];
    for (const packet of refused) {
      const { status, opcode } = await ask(packet);
      assert.is(status, 0x24, `opcode ${packet.opcode}`);
      assert.is(opcode, packet.opcode);
    }
    assert.is(node.counters.deniedCommands, refused.length);
    assert.is((await ask({ opcode: 0x00, key: 'a' })).status, 1);
    assert.is((await ask({ opcode: 0x0a })).status, 0);
    await client.close();
  });
});

test('rights come with the login: another user on the same connection has his own', async () => {
  await withNode({}, async (port) => {
    const client = new RawClient({ host: '127.0.0.1', port });
    const ask = async (packet: Packet) => {
      client.send(request(packet));
      return answers(await client.packet())[0]!.status;
    };
    const store = { opcode: 0x01, key: 'a', extras: storeExtras(), value: 'x' };
    assert.is(await ask({ opcode: 0x21, key: 'PLAIN', value: '\0both\0b' }), 0);
    assert.is(await ask(store), 0);
    assert.is(await ask({ opcode: 0x21, key: 'PLAIN', value: '\0reader\0r:secret' }), 0);
    assert.is(await ask(store), 0x24);
    await client.close();
  });
});

test('flush_all can be switched off for all', async () => {
  await withNode({ authFile: null, flushAllowed: false }, async (port) => {
    const client = new RawClient({ host: '127.0.0.1', port });
    assert.is(await client.send('flush_all\r\n').answer('\r\n'), 'CLIENT_ERROR flush_all not allowed\r\n');
    assert.is(await client.send('set a 0 0 1\r\nx\r\n').answer('\r\n'), 'STORED\r\n');
    await client.close();
  });
});

test('an auth file that is read anew holds for clients to come; one that cannot be used changes nothing', async () => {
  const changing = temporaryFile('old:secret\n');
  await withNode({ authFile: changing, logLevel: 'silent' }, async (port, node) => {
    const { writeFileSync } = await import('node:fs');
    const inside = await login(port, 'old', 'secret');
    writeFileSync(changing, 'new:secret read\n');
    node.reload();
    await (await login(port, 'new', 'secret')).close();
    assert.is(await inside.send('set a 0 0 1\r\nx\r\n').answer('\r\n'), 'STORED\r\n');
    writeFileSync(changing, 'broken\n');
    node.reload();
    await (await login(port, 'new', 'secret')).close();
    await inside.close();
  });
});

test('what stands behind the blank of a line is a right, or the file is refused without telling it', () => {
  for (const line of ['a:b write', 'a:b ', 'a:b read ', 'a:b read all', 'a:b\tread', 'a: read']) {
    const path = temporaryFile(`${line}\n`);
    assert.throws(
      () => readAuthFile(path),
      (error: Error) => /line 1/.test(error.message) && !/write/.test(error.message),
      line,
    );
  }
  const credentials = readAuthFile(file);
  assert.is(credentials.admit(Buffer.from('reader'), Buffer.from('r:secret')), 'read');
  assert.is(credentials.admit(Buffer.from('both'), Buffer.from('b')), 'all');
  assert.is(credentials.admit(Buffer.from('both'), Buffer.from('b all')), null);
});

test.run();
