import { contentDigest, xxh3 } from './digest.js';
import { VolleyError } from './errors.js';
import { checkName, manifestKey, quote } from './keys.js';
import {
  decodeFields,
  encodeFields,
  FIELD_NODES,
  type ManifestField,
  unknownField,
} from './manifest-fields.js';
import { decodeNodes, type RecordedNode } from './recorded-nodes.js';

/** The manifest's byte layout is told in docs/protocol.md, section "Manifest"; this file is its codec. */

/** Bytes that a manifest holds per chunk: digest and XXH3. All zeros stand for a chunk of zeros. */
export const RECORD_BYTES = 24;
export const CHUNK_BYTES_DEFAULT = 32 * 1024;
export const CHUNK_BYTES_MIN = 4 * 1024;
export const CHUNK_BYTES_MAX = 1024 * 1024;
/** The most chunks that an image may have: 512 GiB in chunks of 32 KiB. */
export const CHUNKS_MAX = 2 ** 24;
/** A body up to this size stands in the manifest's root; a larger one is stored in pieces, as chunks are. */
export const BODY_INLINE_MAX = 16 * 1024;
export const BODY_PIECE_BYTES = 32 * 1024;

const MAGIC = Buffer.from('VOLLEYMF', 'latin1');
/** Without fields, and with them. A reader refuses what is above: its fixed part is another one. */
const VERSION_PLAIN = 1;
const VERSION_FIELDS = 2;
const FIXED_BYTES = 64;
const CHECKSUM_BYTES = 8;
const CREATED_AT = 32;
const FIELD_BYTES_AT = 60;
const KINDS = ['raw', 'kernel'] as const;

/** raw: the file as it was; kernel: the PT_LOAD segments of a vmlinux. */
export type ImageKind = (typeof KINDS)[number];

/** What is known of an image without the digests of its chunks. */
export interface ManifestHead {
  name: string;
  imageBytes: number;
  /** A power of two from 4 KiB to 1 MiB; the last chunk may be shorter. */
  chunkBytes: number;
  chunkCount: number;
  kind: ImageKind;
  /** 32 hex digits: the first 128 bits of the SHA-256 of the records. */
  id: string;
  createdMs: number;
}

/** What an image is made of. */
export interface Manifest extends ManifestHead {
  /** RECORD_BYTES per chunk. */
  records: Uint8Array;
  /** The node list that it was stored with, by name; null or left out where that is not known. */
  nodes?: readonly RecordedNode[] | null;
}

/** A manifest's root item: the whole manifest (`body`), or the records of the body's pieces (`pieces`). */
export interface ManifestRoot extends ManifestHead {
  body: Uint8Array | null;
  pieces: Uint8Array | null;
  /** Whatever else the manifest tells, also what this program does not know and may skip. */
  fields: readonly ManifestField[];
  /** One of the fields, read: the node list that the image was stored with, or null. */
  nodes: readonly RecordedNode[] | null;
}

/** Where a manifest was found, for error messages. */
export interface ManifestPlace {
  /** The key that it stood under. */
  key: string;
  /** How to call the image: its quoted name, or the key where the name is not known. */
  image: string;
  node: string;
}

/** How many chunks (or pieces) that many bytes make. */
export function chunkCountOf(bytes: number, chunkBytes: number): number {
  return Math.ceil(bytes / chunkBytes);
}

/** Bytes of chunk `index`: the chunk size, or less for the last. */
export function chunkLength(index: number, bytes: number, chunkBytes: number): number {
  return Math.min(chunkBytes, bytes - index * chunkBytes);
}

/** Whether the record at `offset` stands for zeros. */
export function isZeroRecord(records: Uint8Array, offset: number): boolean {
  for (let i = offset; i < offset + RECORD_BYTES; i++) if (records[i] !== 0) return false;
  return true;
}

function isChunkBytes(bytes: number): boolean {
  return bytes >= CHUNK_BYTES_MIN && bytes <= CHUNK_BYTES_MAX && (bytes & (bytes - 1)) === 0;
}

/**
 * The root item of a manifest.
 * @param body RECORD_BYTES per chunk
 * @param pieces the records of the body's pieces when the body is larger than BODY_INLINE_MAX, else null
 * @param fields in ascending order of their numbers; without any, Volley 0.1 can read the manifest
 */
export function encodeRoot(
  head: ManifestHead,
  body: Uint8Array,
  pieces: Uint8Array | null,
  fields: readonly ManifestField[] = [],
): Buffer {
  const name = Buffer.from(head.name, 'utf8');
  const content = pieces ?? body;
  const contentOffset = paddedTo8(FIXED_BYTES + name.length);
  const extension = encodeFields(fields);
  const extensionOffset = contentOffset + content.length;
  const root = Buffer.alloc(extensionOffset + extension.length + CHECKSUM_BYTES);
  MAGIC.copy(root, 0);
  root.writeUInt32LE(fields.length === 0 ? VERSION_PLAIN : VERSION_FIELDS, 8);
  root.writeUInt32LE(head.chunkBytes, 12);
  root.writeBigUInt64LE(BigInt(head.imageBytes), 16);
  root.writeUInt32LE(head.chunkCount, 24);
  root.writeUInt16LE(KINDS.indexOf(head.kind), 28);
  root.writeUInt16LE(name.length, 30);
  root.writeBigUInt64LE(BigInt(head.createdMs), CREATED_AT);
  root.write(head.id, 40, 'hex');
  root.writeUInt32LE(body.length, 56);
  root.writeUInt32LE(extension.length, FIELD_BYTES_AT);
  name.copy(root, FIXED_BYTES);
  root.set(content, contentOffset);
  root.set(extension, extensionOffset);
  root.set(xxh3(root.subarray(0, -CHECKSUM_BYTES)), root.length - CHECKSUM_BYTES);
  return root;
}

/** The id of an image with these records. */
export function imageId(records: Uint8Array): string {
  return contentDigest(records).toString('hex');
}

/**
 * Reads a manifest's root item, believing nothing of it.
 * @throws VolleyError ERR_VOLLEY_MANIFEST that names image, node and fault
 */
export function decodeRoot(root: Buffer, place: ManifestPlace): ManifestRoot {
  const expect = (holds: boolean, fault: string) => {
    if (!holds) throw manifestError(place, fault);
  };
  expect(root.length >= FIXED_BYTES + CHECKSUM_BYTES, `it is cut off at ${root.length} bytes`);
  expect(root.subarray(0, 8).equals(MAGIC), 'it does not begin with VOLLEYMF');
  const version = root.readUInt32LE(8);
  if (version > VERSION_FIELDS)
    throw new ManifestTooNew(place, `its version is ${version}, this one reads up to ${VERSION_FIELDS}`);
  expect(version >= VERSION_PLAIN, `its version is ${version}`);
  const checksum = root.subarray(root.length - CHECKSUM_BYTES);
  expect(checksum.equals(xxh3(root.subarray(0, -CHECKSUM_BYTES))), 'its checksum does not fit its bytes');

  const head = decodeNumbers(root, expect);
  const nameBytes = root.readUInt16LE(30);
  const bodyBytes = root.readUInt32LE(56);
  const fieldBytes = root.readUInt32LE(FIELD_BYTES_AT);
  expect(version === VERSION_FIELDS ? fieldBytes > 0 : fieldBytes === 0, 'its fields do not fit its version');
  expect(bodyBytes === head.chunkCount * RECORD_BYTES, 'its body does not fit its number of chunks');
  const inline = bodyBytes <= BODY_INLINE_MAX;
  const contentBytes = inline ? bodyBytes : chunkCountOf(bodyBytes, BODY_PIECE_BYTES) * RECORD_BYTES;
  const contentOffset = paddedTo8(FIXED_BYTES + nameBytes);
  expect(
    root.length === contentOffset + contentBytes + fieldBytes + CHECKSUM_BYTES,
    'its length is not what its fields tell',
  );
  expect(isZero(root.subarray(FIXED_BYTES + nameBytes, contentOffset)), 'its padding is not zero');

  const name = decodeName(root.subarray(FIXED_BYTES, FIXED_BYTES + nameBytes), place);
  const fields = decodeFields(root.subarray(contentOffset + contentBytes, -CHECKSUM_BYTES), expect);
  const unknown = unknownField(fields);
  if (unknown !== null)
    throw new ManifestTooNew(place, `field ${unknown} of it is not known here, and must be`);
  const recorded = fields.find(({ tag }) => tag === FIELD_NODES);
  const nodes = recorded ? decodeNodes(recorded.value) : null;
  expect(!recorded || nodes !== null, 'its node list makes no sense');
  const content = Uint8Array.from(root.subarray(contentOffset, contentOffset + contentBytes));
  const decoded = {
    name,
    ...head,
    body: inline ? content : null,
    pieces: inline ? null : content,
    fields,
    nodes,
  };
  if (inline) completeManifest(decoded, content, place);
  return decoded;
}

/** The fields of fixed place: sizes, kind, time, id. */
function decodeNumbers(root: Buffer, expect: (holds: boolean, fault: string) => void) {
  const chunkBytes = root.readUInt32LE(12);
  expect(isChunkBytes(chunkBytes), `its chunk size is ${chunkBytes}`);
  const imageBytes = Number(root.readBigUInt64LE(16));
  const chunkCount = root.readUInt32LE(24);
  expect(chunkCount <= CHUNKS_MAX, `it tells ${chunkCount} chunks, at most ${CHUNKS_MAX} are allowed`);
  const fits = chunkCount === chunkCountOf(imageBytes, chunkBytes);
  expect(fits, `it tells ${chunkCount} chunks of ${chunkBytes} bytes for an image of ${imageBytes} bytes`);
  const kind = KINDS[root.readUInt16LE(28)]!;
  expect(kind !== undefined, 'its kind is not known');
  const createdMs = Number(root.readBigUInt64LE(CREATED_AT));
  expect(createdMs <= 8.64e15, 'its time is no date');
  return { imageBytes, chunkBytes, chunkCount, kind, createdMs, id: root.toString('hex', 40, 56) };
}

function decodeName(bytes: Buffer, place: ManifestPlace): string {
  try {
    const name = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    checkName(name);
    if (manifestKey(name) === place.key) return name;
  } catch (cause) {
    throw manifestError(place, 'its name breaks the naming rule', cause);
  }
  throw manifestError(place, 'it belongs to an image of another name');
}

/**
 * The manifest that a root and its body make.
 * @throws VolleyError ERR_VOLLEY_MANIFEST when the body is not the one that the root tells
 */
export function completeManifest(root: ManifestRoot, body: Uint8Array, place: ManifestPlace): Manifest {
  const { name, imageBytes, chunkBytes, chunkCount, kind, id, createdMs, nodes } = root;
  if (body.length !== chunkCount * RECORD_BYTES || imageId(body) !== id) {
    throw manifestError(place, 'its body does not fit the image id');
  }
  return { name, imageBytes, chunkBytes, chunkCount, kind, id, createdMs, records: body, nodes };
}

/** When some bytes say that they were stored, if they are a manifest's root. */
export function createdMsOf(root: Buffer): number {
  return root.length < FIXED_BYTES ? 0 : Number(root.readBigUInt64LE(CREATED_AT));
}

/** The error for a manifest that cannot be believed or fetched. */
export function manifestError(place: ManifestPlace, fault: string, cause?: unknown): VolleyError {
  const text = `image ${place.image}: its manifest on node ${place.node} is damaged: ${fault}; upload the image again`;
  return new VolleyError('ERR_VOLLEY_MANIFEST', text, { cause });
}

/** The error for a manifest that only a later version of Volley can read. */
export class ManifestTooNew extends VolleyError {
  constructor({ image, node }: ManifestPlace, why: string) {
    const text = `image ${image}: its manifest on node ${node} was stored by a newer Volley than this one: ${why}`;
    super('ERR_VOLLEY_MANIFEST', `${text}; upgrade this one`);
  }
}

/** The place of the manifest of an image whose name is known. */
export function placeOfImage(name: string, node: string): ManifestPlace {
  return { key: manifestKey(name), image: quote(name), node };
}

function paddedTo8(bytes: number): number {
  return (bytes + 7) & ~7;
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Bytes that all records of that many chunks take, checked against the limit on images. */
export function checkImageSize(imageBytes: number, chunkBytes: number): void {
  if (chunkCountOf(imageBytes, chunkBytes) <= CHUNKS_MAX) return;
  const fault = `an image may have at most ${CHUNKS_MAX} chunks; choose a larger chunk size (up to ${CHUNK_BYTES_MAX})`;
  throw new VolleyError(
    'ERR_VOLLEY_USAGE',
    `${imageBytes} bytes are too many for chunks of ${chunkBytes}: ${fault}`,
  );
}

/** @throws VolleyError ERR_VOLLEY_USAGE unless it is a power of two from 4 KiB to 1 MiB */
export function checkChunkBytes(bytes: number): void {
  if (isChunkBytes(bytes)) return;
  const rule = 'choose a power of two from 4k to 1M';
  throw new VolleyError('ERR_VOLLEY_USAGE', `a chunk size of ${bytes} bytes is not possible; ${rule}`);
}
