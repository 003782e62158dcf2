import * as assert from 'node:assert/strict';
import { contentDigest, xxh3 } from '../../src/digest.js';
import { isVolleyError } from '../../src/errors.js';
import {
  BODY_INLINE_MAX,
  BODY_PIECE_BYTES,
  chunkCountOf,
  decodeRoot,
  encodeRoot,
  imageId,
  type ManifestHead,
  type ManifestRoot,
  placeOfImage,
  RECORD_BYTES,
} from '../../src/manifest.js';
import { FIELD_NODES, type ManifestField } from '../../src/manifest-fields.js';
import { encodeNodes, type RecordedNode } from '../../src/recorded-nodes.js';

const NAME_AT = 64;
const ID_AT = 40;
const FIELD_BYTES_AT = 60;
const CHECKSUM_BYTES = 8;
/** A body is only rebuilt up to this size; beyond it just its length would matter. */
const BODY_BYTES_MAX = 1024 * 1024;

/** The reader of manifests: of bytes as they are, of bytes whose sums were made to fit, and of what the writer wrote. */
export function fuzz(input: Buffer): void {
  check(input);
  check(repaired(input));
  checkWritten(input);
}

/** Decodes under the key of the name that the bytes hold: what comes of it has to be the very same bytes. */
function check(root: Buffer): void {
  const nameBytes = root.length >= NAME_AT ? root.readUInt16LE(30) : 0;
  const name = root.toString('utf8', NAME_AT, NAME_AT + nameBytes);
  let decoded: ManifestRoot;
  try {
    decoded = decodeRoot(root, placeOfImage(name, 'node:1'));
  } catch (error) {
    const isExpected = isVolleyError(error) && error.code === 'ERR_VOLLEY_MANIFEST';
    assert.ok(isExpected, `not the error of a manifest: ${error}`);
    return;
  }
  const bodyBytes = decoded.chunkCount * RECORD_BYTES;
  if (bodyBytes > BODY_BYTES_MAX) return;
  const again = encodeRoot(
    decoded,
    decoded.body ?? new Uint8Array(bodyBytes),
    decoded.pieces,
    decoded.fields,
  );
  if (decoded.nodes) checkNodes(decoded);
  assert.ok(again.equals(root), 'what was decoded is encoded to other bytes');
}

/** A node list that was read has to be written as the same bytes. */
function checkNodes({ nodes, fields }: ManifestRoot): void {
  const { value } = fields.find(({ tag }) => tag === FIELD_NODES)!;
  assert.ok(encodeNodes(nodes!).equals(value), 'the node list is encoded to other bytes');
}

/** The bytes with magic, version, checksum and, where there is a body, the image's id put right. */
function repaired(input: Buffer): Buffer {
  const root = Buffer.alloc(Math.max(input.length, NAME_AT + CHECKSUM_BYTES));
  input.copy(root);
  root.write('VOLLEYMF', 0, 'latin1');
  const fieldBytes = root.readUInt32LE(FIELD_BYTES_AT);
  root.writeUInt32LE(fieldBytes === 0 ? 1 : 2, 8);
  const contentAt = (NAME_AT + root.readUInt16LE(30) + 7) & ~7;
  const end = root.length - CHECKSUM_BYTES;
  const contentEnd = Math.max(contentAt, end - fieldBytes);
  if (contentAt <= end) contentDigest(root.subarray(contentAt, contentEnd)).copy(root, ID_AT, 0, 16);
  root.set(xxh3(root.subarray(0, end)), end);
  return root;
}

/** Makes a manifest of the input's bytes, writes it and reads it again. */
function checkWritten(input: Buffer): void {
  if (input.length < 16) return;
  const nameBytes = 1 + (input[0]! % 64);
  const name = `n${input.toString('latin1', 16, 16 + nameBytes).replace(/[^\x21-\x7e]/g, 'ä')}`;
  const chunkBytes = 4096 << (input[1]! % 9);
  const given = input.subarray(16, 16 + Math.floor((input.length - 16) / RECORD_BYTES) * RECORD_BYTES);
  const isLarge = input[2]! >= 250 && given.length > 0;
  const recordCount = Math.ceil(BODY_INLINE_MAX / RECORD_BYTES) + input[3]!;
  const records = isLarge ? Buffer.alloc(recordCount * RECORD_BYTES, given) : given;
  const chunkCount = records.length / RECORD_BYTES;
  const head: ManifestHead = {
    name,
    imageBytes: Math.max(0, chunkCount * chunkBytes - (input.readUInt32LE(4) % chunkBytes)),
    chunkBytes,
    chunkCount,
    kind: input[2]! & 1 ? 'kernel' : 'raw',
    id: imageId(records),
    createdMs: input.readUInt32LE(8) * 1000,
  };
  const inline = records.length <= BODY_INLINE_MAX;
  const pieces = inline
    ? null
    : new Uint8Array(chunkCountOf(records.length, BODY_PIECE_BYTES) * RECORD_BYTES);
  const nodes = (input[12]! & 3) === 0 ? null : nodesOf(input);
  const fields = fieldsOf(input, nodes);
  const root = encodeRoot(head, records, pieces, fields);
  const decoded = decodeRoot(root, placeOfImage(name, 'node:1'));
  const body = inline ? Uint8Array.from(records) : null;
  assert.deepEqual(decoded, { ...head, body, pieces, fields, nodes });
}

/** Fields that a reader may skip, beside the node list. */
function fieldsOf(input: Buffer, nodes: RecordedNode[] | null): ManifestField[] {
  const fields = nodes ? [{ tag: FIELD_NODES, value: encodeNodes(nodes) }] : [];
  if (input[13]! & 1)
    fields.push({ tag: 2 + (input[14]! << 5), value: Buffer.from(input.subarray(16, 16 + input[15]!)) });
  return fields;
}

function nodesOf(input: Buffer): RecordedNode[] {
  return Array.from({ length: 1 + (input[12]! >> 5) }, (_, i) => {
    const epoch = input.readBigUInt64LE(4);
    if (input[13]! & 2) return { name: `10.0.0.${i}:11211`, address: `10.0.0.${i}:11211`, epoch };
    return { name: `node${i}:${1 + input.readUInt16LE(4)}`, address: `[::${i}]:11211`, epoch };
  }).sort((a, b) => (a.name < b.name ? -1 : 1));
}
