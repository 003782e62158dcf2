/**
 * Fields behind the fixed header of a stored kernel, from version 2 on (docs/protocol.md, "Kernel image"): each has a
 * type, and a flag that says what a reader does that does not know the type.
 */
export interface KernelField {
  type: number;
  /** Whether a reader that does not know the type must refuse the kernel; else it skips the field. */
  isRequired: boolean;
  payload: Buffer;
}

const HEAD_BYTES = 8;
const REQUIRED = 1;
const FIELDS_MAX = 64;

export function encodeFields(fields: readonly KernelField[]): Buffer {
  return Buffer.concat(
    fields.map(({ type, isRequired, payload }) => {
      const bytes = Buffer.alloc(HEAD_BYTES + paddedTo8(payload.length));
      bytes.writeUInt16LE(type, 0);
      bytes.writeUInt16LE(isRequired ? REQUIRED : 0, 2);
      bytes.writeUInt32LE(payload.length, 4);
      payload.copy(bytes, HEAD_BYTES);
      return bytes;
    }),
  );
}

/** The payloads by type of the fields that are `known`, or what is wrong with them. */
export function decodeFields(bytes: Buffer, known: ReadonlySet<number>): Map<number, Buffer> | string {
  const fields = new Map<number, Buffer>();
  let count = 0;
  for (let at = 0; at < bytes.length; count++) {
    if (count === FIELDS_MAX || at + HEAD_BYTES > bytes.length) return 'has odd fields in its header';
    const type = bytes.readUInt16LE(at);
    const length = bytes.readUInt32LE(at + 4);
    const next = at + HEAD_BYTES + paddedTo8(length);
    if (next > bytes.length || fields.has(type)) return 'has odd fields in its header';
    if (known.has(type)) fields.set(type, bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length));
    else if (bytes.readUInt16LE(at + 2) & REQUIRED) return `needs a newer Volley to boot (field ${type})`;
    at = next;
  }
  return fields;
}

function paddedTo8(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}
