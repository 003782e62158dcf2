import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { QmpClient, type QmpEvent } from '../hypervisor-shim/qmp-client.js';
import { isVolleyError } from '../src/errors.js';

const test = suite("talking with QEMU's monitor");

const GREETING = '{"QMP": {"version": {}, "capabilities": ["oob"]}}\r\n';

interface Command {
  execute: string;
  arguments: Record<string, unknown>;
  id: number;
}

/** A fake QEMU on a unix socket: greets, answers qmp_capabilities, leaves the rest to `answer`. */
async function withMonitor(
  answer: (command: Command, socket: Socket) => void,
  work: (socket: Socket) => Promise<void>,
  greeting = GREETING,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'volley-qmp-'));
  const path = join(folder, 'qmp');
  const peers: Socket[] = [];
  const server = createServer((peer) => {
    peers.push(peer);
    peer.on('error', () => {});
    peer.write(greeting);
    let text = '';
    peer.on('data', (bytes) => {
      text += bytes.toString();
      for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n')) {
        const command = JSON.parse(text.slice(0, at)) as Command;
        text = text.slice(at + 1);
        if (command.execute === 'qmp_capabilities') peer.write(`{"return": {}, "id": ${command.id}}\r\n`);
        else answer(command, peer);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const socket = connect(path);
  try {
    await work(socket);
  } finally {
    socket.destroy();
    for (const peer of peers) peer.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true });
  }
}

async function errorOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'no error',
    (error: unknown) => (isVolleyError(error) ? `${error.code} ${error.message}` : `unexpected ${error}`),
  );
}

const OPEN = { timeoutMs: 2000 };

test('answers are matched to commands by their ids, in any order', async () => {
  const held: Command[] = [];
  const answer = (command: Command, socket: Socket) => {
    held.push(command);
    if (held.length < 3) return;
    for (const { id, execute } of held.reverse()) socket.write(`{"id": ${id}, "return": "${execute}"}\n`);
  };
  await withMonitor(answer, async (socket) => {
    const client = await QmpClient.open(socket, OPEN);
    const names = ['a', 'b', 'c'];
    assert.equal(await Promise.all(names.map((name) => client.execute(name, {}, 2000))), names);
  });
});

test('an answer that comes byte by byte is read whole, and so are many in one piece', async () => {
  const answer = ({ id, execute }: Command, socket: Socket) => {
    const line = JSON.stringify({ return: { text: 'ä\n"}', execute }, id });
    if (execute === 'slowly')
      for (const byte of Buffer.from(`${line}\r\n`)) socket.write(Buffer.from([byte]));
    else
      socket.write(
        `{"event": "STOP", "data": {}}\n\n${line}\n{"event": "RESUME"}\n{"return": 1, "id": 999}\n`,
      );
  };
  const events: QmpEvent[] = [];
  await withMonitor(answer, async (socket) => {
    const client = await QmpClient.open(socket, { ...OPEN, onEvent: (event) => events.push(event) });
    assert.equal(await client.execute('slowly', {}, 2000), { text: 'ä\n"}', execute: 'slowly' });
    assert.equal(await client.execute('at once', {}, 2000), { text: 'ä\n"}', execute: 'at once' });
    assert.equal(
      events.map(({ name }) => name),
      ['STOP', 'RESUME'],
    );
  });
});

test('commands one after the other never count as waiting together', async () => {
  const answer = ({ id }: Command, socket: Socket) => socket.write(`{"return": ${id}, "id": ${id}}\n`);
  await withMonitor(answer, async (socket) => {
    const client = await QmpClient.open(socket, OPEN);
    for (let id = 2; id < 50; id++) assert.is(await client.execute('x', {}, 2000), id);
  });
});

test('a long answer of the human monitor comes whole', async () => {
  const text = 'line of the memory map\n'.repeat(20_000);
  const answer = ({ id, arguments: args }: Command, socket: Socket) => {
    assert.is(args['command-line'], 'info mtree -f');
    socket.write(`${JSON.stringify({ return: text, id })}\n`);
  };
  await withMonitor(answer, async (socket) => {
    const client = await QmpClient.open(socket, OPEN);
    assert.is(await client.monitor('info mtree -f', 5000), text);
  });
});

test("QEMU's refusal is told in QEMU's words", async () => {
  const answer = ({ id }: Command, socket: Socket) => {
    socket.write(`{"id": ${id}, "error": {"class": "CommandNotFound", "desc": "no such command"}}\n`);
  };
  await withMonitor(answer, async (socket) => {
    const client = await QmpClient.open(socket, OPEN);
    assert.match(await errorOf(client.execute('x', {}, 2000)), /^ERR_VOLLEY_QEMU .*no such command/);
  });
});

test('a command that is not answered ends at its deadline, and a late answer does no harm', async () => {
  const answer = ({ id, execute }: Command, socket: Socket) => {
    setTimeout(() => socket.write(`{"id": ${id}, "return": "${execute}"}\n`), execute === 'late' ? 100 : 0);
  };
  await withMonitor(answer, async (socket) => {
    const client = await QmpClient.open(socket, OPEN);
    assert.match(await errorOf(client.execute('late', {}, 30)), /^ERR_VOLLEY_TIMEOUT /);
    await new Promise((resolve) => setTimeout(resolve, 120));
    assert.is(await client.execute('next', {}, 2000), 'next');
  });
});

test('a monitor that never greets, or greets with garbage, is given up', async () => {
  const nothing = () => {};
  await withMonitor(
    nothing,
    async (socket) => {
      assert.match(await errorOf(QmpClient.open(socket, { timeoutMs: 50 })), /^ERR_VOLLEY_TIMEOUT /);
      assert.ok(socket.destroyed);
    },
    '',
  );
  for (const greeting of ['SSH-2.0-OpenSSH\r\n', '[1, 2]\n', 'null\n', '"QMP"\n']) {
    await withMonitor(
      nothing,
      async (socket) => {
        assert.match(await errorOf(QmpClient.open(socket, OPEN)), /^ERR_VOLLEY_QEMU .*no JSON object/);
      },
      greeting,
    );
  }
});

test('a line without end is cut off at the limit', async () => {
  const flood = (_: Command, socket: Socket) => socket.write(Buffer.alloc(6 << 20, 0x20));
  await withMonitor(flood, async (socket) => {
    const client = await QmpClient.open(socket, OPEN);
    assert.match(await errorOf(client.execute('x', {}, 5000)), /^ERR_VOLLEY_QEMU .*longer than/);
    assert.match(await errorOf(client.execute('y', {}, 5000)), /^ERR_VOLLEY_QEMU .*longer than/);
  });
});

test('when the connection ends, all that wait are told', async () => {
  const hangUp = ({ execute }: Command, socket: Socket) => {
    if (execute === 'b') socket.destroy();
  };
  await withMonitor(hangUp, async (socket) => {
    const client = await QmpClient.open(socket, OPEN);
    const errors = ['a', 'b'].map((name) => errorOf(client.execute(name, {}, 5000)));
    for (const text of await Promise.all(errors)) assert.match(text, /^ERR_VOLLEY_QEMU .*closed/);
  });
});

test('no more than sixteen commands wait at once', async () => {
  await withMonitor(
    () => {},
    async (socket) => {
      const client = await QmpClient.open(socket, OPEN);
      const waiting = Array.from({ length: 16 }, () => errorOf(client.execute('x', {}, 5000)));
      assert.match(await errorOf(client.execute('x', {}, 5000)), /^ERR_VOLLEY_QEMU .*16/);
      client.close();
      await Promise.all(waiting);
    },
  );
});

test.run();
