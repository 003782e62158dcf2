import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ROOT } from '../../src/root.js';

/** A segment of a tiny vmlinux; `address` is guest physical. */
export interface TinySegment {
  address: number;
  bytes: Buffer;
  memoryBytes?: number;
}

/** A vmlinux of these segments: ELF header, program headers, then the segments' bytes one after the other. */
export function tinyElf(segments: TinySegment[], entry = segments[0]!.address): Buffer {
  const headers = Buffer.alloc(64 + 56 * segments.length);
  headers.write('7f454c46020101', 0, 'hex');
  headers.writeUInt16LE(2, 16);
  headers.writeUInt16LE(62, 18);
  headers.writeUInt32LE(1, 20);
  headers.writeBigUInt64LE(BigInt(entry), 24);
  headers.writeBigUInt64LE(64n, 32);
  headers.writeUInt16LE(64, 52);
  headers.writeUInt16LE(56, 54);
  headers.writeUInt16LE(segments.length, 56);
  let offset = headers.length;
  segments.forEach(({ address, bytes, memoryBytes = bytes.length }, i) => {
    const at = 64 + 56 * i;
    headers.writeUInt32LE(1, at);
    headers.writeBigUInt64LE(BigInt(offset), at + 8);
    headers.writeBigUInt64LE(BigInt(address), at + 24);
    headers.writeBigUInt64LE(BigInt(bytes.length), at + 32);
    headers.writeBigUInt64LE(BigInt(memoryBytes), at + 40);
    offset += bytes.length;
  });
  return Buffer.concat([headers, ...segments.map(({ bytes }) => bytes)]);
}

/** Places in a kernel, as distances from its first byte; without `inverse32` there is no such table. */
export interface TinyRelocations {
  words64?: number[];
  inverse32?: number[];
  words32?: number[];
}

/** What Linux' build puts behind a vmlinux of this base: tables of u32, each behind a zero. */
export function relocationTail(
  base: number,
  { words64 = [], inverse32, words32 = [] }: TinyRelocations,
): Buffer {
  const tables = [words64, ...(inverse32 ? [inverse32] : []), words32];
  const words = tables.flatMap((table) => [0, ...table.map((distance) => 0x80000000 + base + distance)]);
  const tail = Buffer.alloc(words.length * 4);
  words.forEach((word, i) => {
    tail.writeUInt32LE(word >>> 0, i * 4);
  });
  return tail;
}

/** A bzImage with this payload; its header has what Linux' own has, and its code does nothing. */
export function tinyBzImage(payload: Buffer, { setupSectors = 3, payloadGap = 0x300 } = {}): Buffer {
  const setup = Buffer.alloc((setupSectors + 1) * 512);
  setup.writeUInt8(setupSectors, 0x1f1);
  setup.writeUInt16LE(0xaa55, 0x1fe);
  setup.write('HdrS', 0x202, 'latin1');
  setup.writeUInt16LE(0x020f, 0x206);
  setup.writeUInt8(1, 0x211);
  setup.writeUInt32LE(0x7fffffff, 0x22c);
  setup.writeUInt32LE(0x200000, 0x230);
  setup.writeUInt8(1, 0x234);
  setup.writeUInt16LE(3, 0x236);
  setup.writeUInt32LE(2047, 0x238);
  setup.writeUInt32LE(payloadGap, 0x248);
  setup.writeUInt32LE(payload.length, 0x24c);
  setup.writeBigUInt64LE(0x1000000n, 0x258);
  setup.writeUInt32LE(0x400000, 0x260);
  return Buffer.concat([setup, Buffer.alloc(payloadGap, 0x90), payload, Buffer.alloc(64, 0x90)]);
}

/** Packs a vmlinux as Linux' build does: the packed bytes, then the unpacked size (gzip has it at its own end). */
export function packPayload(vmlinux: Buffer, format: 'none' | 'gzip' | 'xz' | 'lz4' | 'zstd'): Buffer {
  if (format === 'none') return vmlinux;
  if (format === 'gzip') return gzipSync(vmlinux);
  const tools = { xz: ['xz', '--check=crc32', '-c'], lz4: ['lz4', '-l', '-c'], zstd: ['zstd', '-c'] };
  const [command, ...args] = tools[format] as [string, ...string[]];
  const size = Buffer.alloc(4);
  size.writeUInt32LE(vmlinux.length);
  return Buffer.concat([
    execFileSync(command, args, { input: vmlinux, stdio: ['pipe', 'pipe', 'ignore'] }),
    size,
  ]);
}

/** Debian's kernel that scripts/setup fetched. */
export function debianKernel(): string {
  const folder = join(ROOT, '.cache', 'kernel', 'boot');
  const name = readdirSync(folder).find((candidate) => candidate.startsWith('vmlinuz-'));
  if (!name) throw new Error(`no kernel in ${folder}; run: npm run setup`);
  return join(folder, name);
}
