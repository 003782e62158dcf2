import { randomBytes } from 'node:crypto';
import { add, complete, cycle, suite } from 'benny';
import type { CommandHandler } from '../../server/protocol/commands.js';
import { TextParser } from '../../server/protocol/text-parser.js';
import { contentDigest, xxh3 } from '../../src/digest.js';
import { chunkKey } from '../../src/keys.js';
import { Ring } from '../../src/ring.js';
import type { Figure } from '../support/figures.js';

const CHUNK_BYTES = 32 << 10;
const CHUNKS = 4096;
const KEYS_PER_GET = 64;

/** A handler that looks at nothing: what is left is the parser. */
function idleHandler(): CommandHandler {
  const flags = { paused: false, locked: false };
  return new Proxy(flags as unknown as CommandHandler, {
    get: (_, name) => (name in flags ? flags[name as keyof typeof flags] : () => {}),
  });
}

/** The small steps that every chunk or command pays for, one at a time; to see what a change did to them. */
export async function micro(): Promise<Figure[]> {
  const chunks = Array.from({ length: CHUNKS }, () => randomBytes(CHUNK_BYTES));
  const digests = chunks.map((chunk) => contentDigest(chunk));
  const get = Buffer.from(
    `get ${digests
      .slice(0, KEYS_PER_GET)
      .map((digest) => chunkKey(digest))
      .join(' ')}\r\n`,
  );
  const parser = new TextParser(idleHandler());
  const names = Array.from({ length: 16 }, (_, i) => `10.0.0.${i}:11211`);
  let turn = 0;
  const next = () => turn++ % CHUNKS;
  await suite(
    'small steps',
    add('SHA-256 of a 32 kB chunk', () => {
      contentDigest(chunks[next()]!);
    }),
    add('XXH3 of a 32 kB chunk', () => {
      xxh3(chunks[next()]!);
    }),
    add('key of a chunk from its digest', () => {
      chunkKey(digests[next()]!);
    }),
    add('a ring of 16 nodes', () => {
      new Ring(names);
    }),
    add('parsing a get of 64 keys', () => {
      parser.feed(get, 0, get.length);
    }),
    cycle(),
    complete(),
  );
  return [];
}
