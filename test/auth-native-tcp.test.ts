import type { Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StorageNode } from '../server/index.js';
import { greetingOf } from '../src/credentials.js';
import { FAILURE_REASONS, native, type ReaderResult } from '../src/native.js';
import { ALICE, authFile } from './support/auth-file.js';
import { CHUNK_KEY_PREFIX, chunkKey, recordOf } from './support/items.js';
import { Peer } from './support/peer.js';
import { ask } from './support/raw-client.js';
import { randomBytes } from './support/seed.js';

const test = suite('the greeting of the native tcp path');

const CHUNK_BYTES = 4096;
const chunks = Array.from({ length: 200 }, () => randomBytes(CHUNK_BYTES));
const byKey = new Map(chunks.map((chunk) => [chunkKey(recordOf(chunk)), chunk]));
const greeting = greetingOf(ALICE);

/** Loads all chunks from that port. */
async function load(
  port: number,
  first: Uint8Array | undefined,
): Promise<{ result: ReaderResult; isWhole: boolean }> {
  const destination = native().GuestMemory.create(chunks.length * CHUNK_BYTES);
  try {
    const result = await new (native().Reader)({
      destination,
      destinationOffset: 0,
      imageBytes: destination.bytes,
      chunkBytes: CHUNK_BYTES,
      records: Buffer.concat(chunks.map(recordOf)),
      sources: new Uint16Array(chunks.length),
      paths: [{ kind: 'tcp', host: '127.0.0.1', port, ...(first && { greeting: first }) }],
      keyPrefix: CHUNK_KEY_PREFIX,
      readTimeoutMs: 500,
      threads: 2,
    }).run();
    const isWhole = destination.read(0, destination.bytes).equals(Buffer.concat(chunks));
    return { result, isWhole };
  } finally {
    destination.close();
  }
}

function reasonsOf({ failures }: ReaderResult): Set<string> {
  return new Set(
    Array.from(
      failures.filter((_, i) => i % 2 === 1),
      (reason) => FAILURE_REASONS[reason]!,
    ),
  );
}

/** Answers gets as a memcached would. */
function serve(socket: Socket, line: string): void {
  const parts = line
    .split(' ')
    .slice(1)
    .flatMap((key) => {
      const chunk = byKey.get(key)!;
      return [Buffer.from(`VALUE ${key} 0 ${chunk.length}\r\n`), chunk, Buffer.from('\r\n')];
    });
  socket.write(Buffer.concat([...parts, Buffer.from('END\r\n')]));
}

/** A node that does as told with the greeting, and then serves. */
function scripted(greet: (socket: Socket, serveRest: () => void) => void): (socket: Socket) => void {
  return (socket) => {
    let text = '';
    let isGreeted = false;
    const goOn = () => {
      for (let end = text.indexOf('\r\n'); isGreeted && end >= 0; end = text.indexOf('\r\n')) {
        serve(socket, text.slice(0, end));
        text = text.slice(end + 2);
      }
    };
    let isBegun = false;
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (!isBegun && text.length >= greeting.length) {
        isBegun = true;
        assert.is(text.slice(0, greeting.length), greeting.toString('latin1'));
        text = text.slice(greeting.length);
        greet(socket, () => {
          isGreeted = true;
          goOn();
        });
      }
      goOn();
    });
  };
}

test('a node that wants it gives chunks behind it, and none without', async () => {
  const node = new StorageNode({ port: 0, local: 'off', memoryBytes: 8 << 20, authFile: authFile() });
  await node.start();
  try {
    const sets = [...byKey].flatMap(([key, chunk]) => [
      Buffer.from(`set ${key} 0 0 ${chunk.length} noreply\r\n`),
      chunk,
      Buffer.from('\r\n'),
    ]);
    await ask(node.port, Buffer.concat([greeting, ...sets, Buffer.from('version\r\n')]), 'VERSION');
    const right = await load(node.port, greeting);
    assert.equal(reasonsOf(right.result), new Set());
    assert.ok(right.isWhole);
    const none = await load(node.port, undefined);
    assert.equal(reasonsOf(none.result), new Set(['protocol']));
    assert.is(none.result.failures.length, 2 * chunks.length);
    assert.match(none.result.paths[0]!.error, /CLIENT_ERROR unauthenticated/);
    const wrong = await load(node.port, greetingOf({ ...ALICE, password: 'n0pe' }));
    assert.equal(reasonsOf(wrong.result), new Set(['protocol']));
    assert.is(wrong.result.paths[0]!.error, 'the node refused the user and password');
  } finally {
    await node.stop();
  }
});

test('an answer that comes late and in pieces is as good as a whole one', async () => {
  const answer = 'STORED\r\n';
  const inPieces = scripted((socket, serveRest) => {
    let at = 0;
    const timer = setInterval(() => {
      if (at < answer.length) {
        socket.write(answer[at++]!);
        return;
      }
      clearInterval(timer);
      serveRest();
    }, 5);
    socket.on('close', () => clearInterval(timer));
  });
  await Peer.use(inPieces, async ({ port }) => {
    const { result, isWhole } = await load(port, greeting);
    assert.equal(reasonsOf(result), new Set());
    assert.ok(isWhole);
  });
});

test('an answer and chunks that come together are told apart', async () => {
  const together = scripted((socket, serveRest) => {
    socket.cork();
    socket.write('STORED\r\n');
    serveRest();
    process.nextTick(() => socket.uncork());
  });
  await Peer.use(together, async ({ port }) => {
    assert.ok((await load(port, greeting)).isWhole);
  });
});

const WRONG_ANSWERS: [answer: string, error: RegExp][] = [
  ['CLIENT_ERROR authentication failure\r\n', /^the node refused the user and password$/],
  [
    'SERVER_ERROR too many wrong passwords from this address, try again later\r\n',
    /^the node refused the user/,
  ],
  ['NOT_STORED\r\n', /did not answer the greeting/],
  ['STORED \r\n', /did not answer the greeting/],
  ['STOREDX\r\n', /did not answer the greeting/],
  ['stored\r\n', /did not answer the greeting/],
  ['\r\n', /did not answer the greeting/],
  ['END\r\n', /did not answer the greeting/],
  [`${greeting.toString('latin1')}`, /did not answer the greeting/],
  [`CLIENT_ERROR ${ALICE.password}\r\n`, /^the node refused the user and password$/],
  ['S'.repeat(5000), /line is too long/],
];

for (const [answer, error] of WRONG_ANSWERS) {
  test(`the answer ${JSON.stringify(answer.slice(0, 40))} breaks the path`, async () => {
    await Peer.use(
      scripted((socket, serveRest) => {
        socket.write(answer);
        serveRest();
      }),
      async ({ port }) => {
        const { result, isWhole } = await load(port, greeting);
        assert.equal(reasonsOf(result), new Set(['protocol']));
        assert.is(result.failures.length, 2 * chunks.length);
        assert.match(result.paths[0]!.error, error);
        assert.not.match(result.paths[0]!.error, /sesame/, 'no error quotes the password');
        assert.not.ok(isWhole);
      },
    );
  });
}

test('a greeting that is never answered ends at the deadline', async () => {
  await Peer.use(
    scripted(() => {}),
    async ({ port }) => {
      const beganMs = performance.now();
      const { result } = await load(port, greeting);
      assert.equal(reasonsOf(result), new Set(['timeout']));
      assert.ok(performance.now() - beganMs < 3000);
    },
  );
});

test('a node that hangs up on the greeting is a broken connection', async () => {
  await Peer.use(
    scripted((socket) => socket.end()),
    async ({ port }) => {
      assert.equal(reasonsOf((await load(port, greeting)).result), new Set(['connection']));
    },
  );
});

test('a greeting that is no bytes, or too many, is refused', async () => {
  await load(1, 'set x' as unknown as Uint8Array).then(
    () => assert.unreachable(),
    (error) => assert.instance(error, TypeError),
  );
  await load(1, new Uint8Array(1025)).then(
    () => assert.unreachable(),
    (error) => assert.match(error.message, /greeting is too long/),
  );
});

test.run();
