/**
 * The fields at a manifest's end, docs/protocol.md, "Manifest": whatever a later version knows of an image beyond what
 * the first one did. A reader skips a field that it does not know, unless the field's number says that it must not.
 */

/** One field: its number, and its bytes as they stand there. */
export interface ManifestField {
  tag: number;
  value: Buffer;
}

/** Numbers from here on stand for what a reader has to know to use the image at all: it refuses what it does not know. */
export const MUST_UNDERSTAND = 0x8000;
/** The node list that the image was stored with; src/recorded-nodes.ts. */
export const FIELD_NODES = 1;
const KNOWN: readonly number[] = [FIELD_NODES];

const HEADER_BYTES = 8;
const TAG_MAX = 0xffff;

/** @param fields in ascending order of their numbers, each number once */
export function encodeFields(fields: readonly ManifestField[]): Buffer {
  const parts = fields.map(({ tag, value }) => {
    const part = Buffer.alloc(HEADER_BYTES + paddedTo8(value.length));
    part.writeUInt16LE(tag, 0);
    part.writeUInt32LE(value.length, 4);
    value.copy(part, HEADER_BYTES);
    return part;
  });
  return Buffer.concat(parts);
}

/**
 * Reads fields, believing nothing of them.
 * @param expect throws when the first argument is false, with the fault
 */
export function decodeFields(
  bytes: Buffer,
  expect: (holds: boolean, fault: string) => void,
): ManifestField[] {
  const fields: ManifestField[] = [];
  let at = 0;
  let last = -1;
  while (at < bytes.length) {
    expect(at + HEADER_BYTES <= bytes.length, 'a field of it is cut off');
    const tag = bytes.readUInt16LE(at);
    const length = bytes.readUInt32LE(at + 4);
    const start = at + HEADER_BYTES;
    const end = start + paddedTo8(length);
    expect(tag > last && tag <= TAG_MAX, 'its fields are not in order');
    expect(bytes.readUInt16LE(at + 2) === 0, 'reserved bytes of a field are not zero');
    expect(end <= bytes.length, 'a field of it is cut off');
    const padding = bytes.subarray(start + length, end);
    expect(
      padding.every((byte) => byte === 0),
      'the padding of a field is not zero',
    );
    fields.push({ tag, value: Buffer.from(bytes.subarray(start, start + length)) });
    last = tag;
    at = end;
  }
  return fields;
}

/** The first field that this program would have to know, or null. */
export function unknownField(fields: readonly ManifestField[]): number | null {
  const unknown = fields.find(({ tag }) => tag >= MUST_UNDERSTAND && !KNOWN.includes(tag));
  return unknown ? unknown.tag : null;
}

/** The least multiple of 8 that is not less. Not by bit operations: lengths of up to 4 GiB come from outside. */
function paddedTo8(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}
