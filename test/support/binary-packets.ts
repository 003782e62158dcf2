export interface Packet {
  opcode: number;
  key?: string;
  extras?: Buffer;
  value?: Buffer | string;
  opaque?: number;
  cas?: bigint;
  /** Lies for the header's length fields. */
  keyBytes?: number;
  extrasBytes?: number;
  bodyBytes?: number;
}

/** A request of the binary protocol. */
export function request(packet: Packet): Buffer {
  const key = Buffer.from(packet.key ?? '', 'latin1');
  const extras = packet.extras ?? Buffer.alloc(0);
  const value = Buffer.from(packet.value ?? '');
  const header = Buffer.alloc(24);
  header[0] = 0x80;
  header[1] = packet.opcode;
  header.writeUInt16BE(packet.keyBytes ?? key.length, 2);
  header[4] = packet.extrasBytes ?? extras.length;
  header.writeUInt32BE(packet.bodyBytes ?? key.length + extras.length + value.length, 8);
  header.writeUInt32BE(packet.opaque ?? 0, 12);
  header.writeBigUInt64BE(packet.cas ?? 0n, 16);
  return Buffer.concat([header, extras, key, value]);
}

export function storeExtras(flags = 0, exptime = 0): Buffer {
  const extras = Buffer.alloc(8);
  extras.writeUInt32BE(flags, 0);
  extras.writeUInt32BE(exptime, 4);
  return extras;
}

export function countExtras(delta: bigint, initial: bigint, exptime: number): Buffer {
  const extras = Buffer.alloc(20);
  extras.writeBigUInt64BE(delta, 0);
  extras.writeBigUInt64BE(initial, 8);
  extras.writeUInt32BE(exptime, 16);
  return extras;
}

export function exptimeExtras(exptime: number): Buffer {
  const extras = Buffer.alloc(4);
  extras.writeUInt32BE(exptime, 0);
  return extras;
}

export interface Answer {
  opcode: number;
  status: number;
  opaque: number;
  cas: bigint;
  extras: string;
  key: string;
  value: string;
}

/** The answers in `bytes`, which must hold whole ones. */
export function answers(bytes: Buffer): Answer[] {
  const list: Answer[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] !== 0x81) throw new Error(`no answer begins at byte ${at}`);
    const keyBytes = bytes.readUInt16BE(at + 2);
    const extrasBytes = bytes[at + 4]!;
    const end = at + 24 + bytes.readUInt32BE(at + 8);
    if (end > bytes.length) throw new Error(`the answer at byte ${at} is cut`);
    const extrasAt = at + 24;
    const keyAt = extrasAt + extrasBytes;
    list.push({
      opcode: bytes[at + 1]!,
      status: bytes.readUInt16BE(at + 6),
      opaque: bytes.readUInt32BE(at + 12),
      cas: bytes.readBigUInt64BE(at + 16),
      extras: bytes.toString('hex', extrasAt, keyAt),
      key: bytes.toString('latin1', keyAt, keyAt + keyBytes),
      value: bytes.toString('latin1', keyAt + keyBytes, end),
    });
    at = end;
  }
  return list;
}
