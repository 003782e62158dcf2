import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { xxh3 } from '../src/digest.js';
import { isVolleyError } from '../src/errors.js';
import { checkName, manifestKey, quote } from '../src/keys.js';
import {
  BODY_PIECE_BYTES,
  CHUNKS_MAX,
  completeManifest,
  decodeRoot,
  encodeRoot,
  imageId,
  type ManifestHead,
  placeOfImage,
  RECORD_BYTES,
} from '../src/manifest.js';
import { FIELD_NODES, type ManifestField, MUST_UNDERSTAND } from '../src/manifest-fields.js';
import { encodeNodes } from '../src/recorded-nodes.js';
import { randomBytes } from './support/seed.js';

const test = suite('manifest codec');
const CHUNK_BYTES = 32 * 1024;

function headOf(body: Buffer, change: Partial<ManifestHead> = {}): ManifestHead {
  const chunkCount = body.length / RECORD_BYTES;
  const imageBytes = chunkCount * CHUNK_BYTES - (chunkCount > 0 ? 5 : 0);
  const base = {
    name: 'an image',
    imageBytes,
    chunkBytes: CHUNK_BYTES,
    chunkCount,
    createdMs: 1_700_000_000_000,
  };
  return { ...base, kind: 'raw', id: imageId(body), ...change };
}

function decode(root: Buffer, name = 'an image') {
  return decodeRoot(root, placeOfImage(name, 'node:1'));
}

/** The root with a change, and with a checksum that fits it again. */
function forged(root: Buffer, change: (root: Buffer) => void): Buffer {
  const copy = Buffer.from(root);
  change(copy);
  copy.set(xxh3(copy.subarray(0, -8)), copy.length - 8);
  return copy;
}

function refused(root: Buffer, fault: RegExp, name?: string): void {
  assert.throws(
    () => decode(root, name),
    (error: unknown) => {
      const holds = isVolleyError(error) && error.code === 'ERR_VOLLEY_MANIFEST';
      return (
        holds && fault.test(error.message) && /node:1/.test(error.message) && /image/.test(error.message)
      );
    },
    `not refused for ${fault}`,
  );
}

test('a manifest comes back as it was written, for bodies of every kind', () => {
  for (const chunks of [0, 1, 2, 100, 682]) {
    const body = randomBytes(chunks * RECORD_BYTES);
    const head = headOf(body, { name: 'ü/x y', kind: 'kernel' });
    const { body: inline, pieces, fields, nodes, ...rest } = decode(encodeRoot(head, body, null), 'ü/x y');
    assert.equal(rest, head);
    assert.equal([fields, nodes], [[], null]);
    assert.is(pieces, null);
    assert.ok(body.equals(inline!));
  }
});

test('a body of more than 16 KiB is told by the records of its pieces', () => {
  const body = randomBytes(2000 * RECORD_BYTES);
  const pieces = randomBytes(Math.ceil(body.length / BODY_PIECE_BYTES) * RECORD_BYTES);
  const root = decode(encodeRoot(headOf(body), body, pieces));
  assert.is(root.body, null);
  assert.ok(pieces.equals(root.pieces!));
  const place = placeOfImage('an image', 'node:1');
  assert.ok(body.equals(completeManifest(root, body, place).records));
  const other = Buffer.from(body);
  other[7]! ^= 1;
  assert.throws(() => completeManifest(root, other, place), /does not fit the image id/);
  assert.throws(() => completeManifest(root, body.subarray(24), place), /does not fit the image id/);
});

test('every truncation and every flipped byte is refused', () => {
  const body = randomBytes(3 * RECORD_BYTES);
  const root = encodeRoot(headOf(body), body, null);
  for (let length = 0; length < root.length; length++) refused(root.subarray(0, length), /./);
  refused(Buffer.concat([root, Buffer.alloc(8)]), /checksum/);
  for (let at = 0; at < root.length; at++) {
    const copy = Buffer.from(root);
    copy[at]! ^= 0x40;
    refused(copy, /./);
  }
});

test('a manifest that lies under a good checksum is refused, field by field', () => {
  const body = randomBytes(3 * RECORD_BYTES);
  const root = encodeRoot(headOf(body), body, null);
  const lies: [RegExp, (root: Buffer) => void][] = [
    [/does not begin with VOLLEYMF/, (r) => r.write('VOLLEYXX', 0)],
    [/newer Volley.*version is 3.*upgrade/, (r) => r.writeUInt32LE(3, 8)],
    [/version is 0/, (r) => r.writeUInt32LE(0, 8)],
    [/fields do not fit its version/, (r) => r.writeUInt32LE(2, 8)],
    [/chunk size is 0/, (r) => r.writeUInt32LE(0, 12)],
    [/chunk size is 32769/, (r) => r.writeUInt32LE(32769, 12)],
    [/chunk size is 2097152/, (r) => r.writeUInt32LE(2 ** 21, 12)],
    [/3 chunks of 32768 bytes for an image of 98305/, (r) => r.writeBigUInt64LE(98305n, 16)],
    [/for an image of 65536/, (r) => r.writeBigUInt64LE(65536n, 16)],
    [/for an image of/, (r) => r.writeBigUInt64LE(2n ** 63n, 16)],
    [/tells 2 chunks/, (r) => r.writeUInt32LE(2, 24)],
    [/at most 16777216/, (r) => r.writeUInt32LE(0xffffffff, 24)],
    [/kind/, (r) => r.writeUInt16LE(2, 28)],
    [/length/, (r) => r.writeUInt16LE(512, 30)],
    [/length is not|padding|name/, (r) => r.writeUInt16LE(7, 30)],
    [/naming rule/, (r) => r.write('\n', 64)],
    [/naming rule/, (r) => r.writeUInt8(0xff, 64)],
    [/another name/, (r) => r.write('b', 64)],
    [/no date/, (r) => r.writeBigUInt64LE(2n ** 63n, 32)],
    [/image id/, (r) => r.writeUInt8(r[40]! ^ 1, 40)],
    [/image id/, (r) => r.writeUInt8(r[80]! ^ 1, 80)],
    [/body does not fit/, (r) => r.writeUInt32LE(48, 56)],
    [/fields do not fit its version/, (r) => r.writeUInt32LE(1, 60)],
  ];
  for (const [fault, lie] of lies) refused(forged(root, lie), fault);
  refused(root, /another name/, 'another');
});

/** A root with these fields, and a decode of it. */
function withFields(...fields: ManifestField[]) {
  const body = randomBytes(3 * RECORD_BYTES);
  const root = encodeRoot(headOf(body), body, null, fields);
  return { root, decoded: () => decode(root) };
}

const NODES = [
  { name: '10.0.0.1:11211', address: '10.0.0.1:11211', epoch: 7n },
  { name: '[fe80::1]:11211', address: '[fe80::1]:11211', epoch: 0n },
  { name: 'storage:1', address: '10.0.0.3:1', epoch: 2n ** 64n - 1n },
];

test('the node list comes back as it was written, and a field that may be skipped is skipped', () => {
  const list = { tag: FIELD_NODES, value: encodeNodes(NODES) };
  const later = { tag: MUST_UNDERSTAND - 1, value: Buffer.from('of a later version') };
  const { nodes, fields } = withFields(list, later).decoded();
  assert.equal(nodes, NODES);
  assert.equal(fields, [list, later]);
  assert.is(withFields(later).decoded().nodes, null);
});

test('a field that must be understood is refused, and the newer version named as the cause', () => {
  const { root } = withFields({ tag: MUST_UNDERSTAND + 1, value: Buffer.alloc(0) });
  refused(root, /stored by a newer Volley than this one: field 32769 .*upgrade this one/);
});

test('fields that make no sense are refused', () => {
  const one = { tag: 9, value: Buffer.from('x') };
  refused(withFields(one, one).root, /not in order/);
  refused(withFields({ tag: 10, value: one.value }, one).root, /not in order/);
  const { root } = withFields(one);
  const at = root.length - 8 - 16;
  refused(
    forged(root, (r) => r.writeUInt16LE(1, at + 2)),
    /reserved/,
  );
  refused(
    forged(root, (r) => r.writeUInt32LE(9, at + 4)),
    /cut off/,
  );
  refused(
    forged(root, (r) => r.writeUInt32LE(0xffffffff, at + 4)),
    /cut off/,
  );
  refused(
    forged(root, (r) => r.writeUInt8(1, at + 9)),
    /padding/,
  );
  refused(
    forged(root, (r) => r.writeUInt32LE(24, 60)),
    /length is not/,
  );
  refused(
    forged(root, (r) => r.writeUInt32LE(1, 8)),
    /do not fit its version/,
  );
});

test('a node list that no client has is refused', () => {
  const [first, , named] = NODES;
  const lists = [
    [],
    [first!, first!],
    [named!, first!],
    [{ ...first!, name: 'Storage:1' }],
    [{ ...first!, name: 'storage' }],
    [{ ...named!, address: 'other:1' }],
    [{ ...named!, address: '10.0.0.1' }],
  ].map((nodes) => encodeNodes(nodes));
  const cut = encodeNodes(NODES).subarray(0, -1);
  for (const value of [...lists, cut, Buffer.from('x')])
    refused(withFields({ tag: FIELD_NODES, value }).root, /node list makes no sense/);
});

test('padding that is not zero is refused', () => {
  const body = randomBytes(RECORD_BYTES);
  const root = encodeRoot(headOf(body, { name: 'abc' }), body, null);
  refused(
    forged(root, (r) => r.writeUInt8(1, 64 + 5)),
    /padding/,
    'abc',
  );
});

test('a root that tells more chunks than an image may have allocates nothing for them', () => {
  const root = encodeRoot(headOf(Buffer.alloc(0)), Buffer.alloc(0), null);
  const huge = forged(root, (r) => {
    r.writeUInt32LE(CHUNKS_MAX, 24);
    r.writeBigUInt64LE(BigInt(CHUNKS_MAX) * BigInt(CHUNK_BYTES), 16);
    r.writeUInt32LE(CHUNKS_MAX * RECORD_BYTES, 56);
  });
  const before = process.memoryUsage().arrayBuffers;
  refused(huge, /length/);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1 << 20);
});

test('names: what the rule allows is taken, all else is refused with the rule', () => {
  for (const name of [
    'a',
    'with blank',
    'a/b/../c',
    'ünï/🎈',
    'x'.repeat(512),
    'é'.repeat(256),
    'volley:m:',
  ]) {
    checkName(name);
  }
  const bad = [
    '',
    ' a',
    'a ',
    'a\n',
    'a\tb',
    '\u007f',
    'a\u0085b',
    'x'.repeat(513),
    'é'.repeat(257),
    '\ud800',
    'bytes that were no UTF-8: \ufffd',
    '\u0000',
  ];
  for (const name of bad) {
    assert.throws(
      () => checkName(name),
      (error: unknown) =>
        isVolleyError(error) &&
        error.code === 'ERR_VOLLEY_NAME' &&
        /1 to 512 bytes of UTF-8/.test(error.message),
      JSON.stringify(name),
    );
  }
  assert.is(quote('a\n\u0085"'), '"a\\x0a\\x85""');
  assert.is(manifestKey('debian'), 'volley:m:81d93757457f988523814ae0009837ae');
});

test.run();
