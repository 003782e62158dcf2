import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/native.js';
import { CraftedRegion, serveRegion } from './support/crafted-region.js';

const test = suite('mapping a region that another process hands out');

async function codeOf(bytes: Buffer, mode = ''): Promise<string> {
  const server = await serveRegion(bytes, mode);
  try {
    const region = await native().openLocalRegion(server.path, 300);
    region.close();
    return 'opened';
  } catch (error) {
    assert.ok((error as Error).message.includes(server.path), 'the error says where');
    return (error as { code: string }).code;
  } finally {
    await server.stop();
  }
}

test('a region laid out by hand from docs/protocol.md is accepted', async () => {
  assert.is(await codeOf(new CraftedRegion().bytes), 'opened');
});

test('header garbage, an unknown version and every lie about sizes are refused', async () => {
  const lies: [string, (region: CraftedRegion) => void][] = [
    ['garbage', (region) => region.bytes.fill(0xa5, 0, 96)],
    ['zeros', (region) => region.bytes.fill(0, 0, 96)],
    ['another magic', (region) => region.bytes.write('VOLLEYRX', 0) && region.seal()],
    ['a later version', (region) => region.bytes.writeUInt32LE(4, 8) && region.seal()],
    ['a wrong checksum', (region) => region.bytes.writeUInt8(1, 88)],
    ['epoch 0', (region) => region.bytes.writeBigUInt64LE(0n, 24) && region.seal()],
    ['more bytes than there are', (region) => region.bytes.writeBigUInt64LE(1n << 40n, 16) && region.seal()],
    ['no buckets', (region) => region.bytes.writeBigUInt64LE(0n, 96)],
    ['more buckets in use than there are', (region) => region.bytes.writeBigUInt64LE(1025n, 96)],
    ['buckets beyond the end', (region) => region.bytes.writeBigUInt64LE(1n << 60n, 40) && region.seal()],
    ['table beyond the end', (region) => region.bytes.writeBigUInt64LE(1n << 63n, 32) && region.seal()],
    ['table over the header', (region) => region.bytes.writeBigUInt64LE(0n, 32) && region.seal()],
    ['table not aligned', (region) => region.bytes.writeBigUInt64LE(4100n, 32) && region.seal()],
    ['arena over the table', (region) => region.bytes.writeBigUInt64LE(4096n, 56) && region.seal()],
    ['arena beyond the end', (region) => region.bytes.writeBigUInt64LE(1n << 40n, 64) && region.seal()],
    [
      'arena that wraps round',
      (region) => region.bytes.writeBigUInt64LE((1n << 64n) - 4096n, 64) && region.seal(),
    ],
    ['another bucket size', (region) => region.bytes.writeUInt32LE(64, 48) && region.seal()],
  ];
  for (const [what, lie] of lies) {
    const region = new CraftedRegion();
    lie(region);
    assert.is(await codeOf(region.bytes), 'ERR_VOLLEY_LAYOUT', what);
  }
});

test('memory that could still shrink under the reader is refused', async () => {
  assert.is(await codeOf(new CraftedRegion().bytes, 'unsealed'), 'ERR_VOLLEY_LAYOUT');
});

test('a region shorter than its header is refused', async () => {
  assert.is(await codeOf(new CraftedRegion().bytes.subarray(0, 4000)), 'ERR_VOLLEY_LAYOUT');
});

test('a peer that says something else, or nothing, is given up in time', async () => {
  const bytes = new CraftedRegion().bytes;
  assert.is(await codeOf(bytes, 'garbage'), 'ERR_VOLLEY_LAYOUT');
  const began = Date.now();
  assert.is(await codeOf(bytes, 'silent'), 'ERR_VOLLEY_TIMEOUT');
  assert.ok(Date.now() - began < 5000);
});

test('a socket where nobody listens is a node that is down', async () => {
  try {
    await native().openLocalRegion('/tmp/volley-nobody.sock', 300);
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code: string }).code, 'ERR_VOLLEY_NODE_DOWN');
  }
});

test.run();
