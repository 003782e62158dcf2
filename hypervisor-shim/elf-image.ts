import { VolleyError } from '../src/errors.js';

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const PROGRAM_HEADERS_MAX = 64;
const PT_LOAD = 1;
const EM_X86_64 = 62;
/** More than any kernel is, and what one buffer may hold. */
const IMAGE_BYTES_MAX = 1 << 30;

/** One PT_LOAD segment, all numbers in bytes; `address` is guest physical. */
export interface ElfSegment {
  offset: number;
  address: number;
  fileBytes: number;
  memoryBytes: number;
}

/** An uncompressed kernel (vmlinux): where its segments lie in the file and where they go in memory. */
export class ElfImage {
  private constructor(
    /** In the order of their addresses, without overlap. */
    readonly segments: readonly ElfSegment[],
    /** Guest physical address of the first instruction. */
    readonly entry: number,
    /** Bytes that belong to the ELF file: what comes behind them was appended to it. */
    readonly fileBytes: number,
  ) {}

  /** Lowest physical address of a segment. */
  get base(): number {
    return this.segments[0]!.address;
  }

  /** Bytes from `base` to the end of what the file fills. */
  get fileSpan(): number {
    return Math.max(...this.segments.map((s) => s.address + s.fileBytes)) - this.base;
  }

  /** Bytes from `base` to the end of the last segment, bss included. */
  get memorySpan(): number {
    return Math.max(...this.segments.map((s) => s.address + s.memoryBytes)) - this.base;
  }

  /** Copies the segments to where they belong in `target`, whose first byte stands for `base`. */
  layOut(file: Buffer, target: Buffer): void {
    for (const segment of this.segments) {
      file.copy(target, segment.address - this.base, segment.offset, segment.offset + segment.fileBytes);
    }
  }

  /** @throws VolleyError ERR_VOLLEY_KERNEL, its message a reason such as `is no 64-bit ELF file` */
  static parse(file: Buffer): ElfImage {
    if (file.length < HEADER_BYTES || file.readUInt32BE(0) !== 0x7f454c46) throw elfError('is no ELF file');
    if (file[4] !== 2 || file[5] !== 1 || file.readUInt16LE(18) !== EM_X86_64) {
      throw elfError('is no 64-bit ELF file for x86');
    }
    const segments = loadSegments(file);
    const first = segments[0];
    const last = segments.at(-1);
    if (!first || !last) throw elfError('has no segment to load');
    if (last.address + last.memoryBytes - first.address > IMAGE_BYTES_MAX)
      throw elfError('spans too much memory');
    for (let i = 1; i < segments.length; i++) {
      const before = segments[i - 1]!;
      if (before.address + before.memoryBytes > segments[i]!.address)
        throw elfError('has overlapping segments');
    }
    const entry = number64(file, 24);
    if (!segments.some((s) => entry >= s.address && entry < s.address + s.fileBytes)) {
      throw elfError('has its entry point outside its segments');
    }
    return new ElfImage(segments, entry, endOf(file, segments));
  }
}

/** Where an ELF file ends: linkers put the section headers last. */
function endOf(file: Buffer, segments: readonly ElfSegment[]): number {
  const sections = number64(file, 40);
  const sectionsEnd = sections + file.readUInt16LE(58) * file.readUInt16LE(60);
  return Math.min(file.length, Math.max(sectionsEnd, ...segments.map((s) => s.offset + s.fileBytes)));
}

function loadSegments(file: Buffer): ElfSegment[] {
  const tableOffset = number64(file, 32);
  const count = file.readUInt16LE(56);
  if (file.readUInt16LE(54) !== PROGRAM_HEADER_BYTES || count > PROGRAM_HEADERS_MAX) {
    throw elfError('has odd program headers');
  }
  if (tableOffset + count * PROGRAM_HEADER_BYTES > file.length) throw elfError('is cut off');
  const segments: ElfSegment[] = [];
  for (let i = 0; i < count; i++) {
    const at = tableOffset + i * PROGRAM_HEADER_BYTES;
    if (file.readUInt32LE(at) !== PT_LOAD) continue;
    const segment = {
      offset: number64(file, at + 8),
      address: number64(file, at + 24),
      fileBytes: number64(file, at + 32),
      memoryBytes: number64(file, at + 40),
    };
    if (segment.memoryBytes === 0) continue;
    if (segment.offset + segment.fileBytes > file.length) throw elfError('is cut off');
    if (segment.fileBytes > segment.memoryBytes)
      throw elfError('has a segment larger in the file than in memory');
    if (segment.address + segment.memoryBytes > 2 ** 32) throw elfError('has a segment above 4 GiB');
    segments.push(segment);
  }
  return segments.sort((a, b) => a.address - b.address);
}

function number64(file: Buffer, offset: number): number {
  const value = file.readBigUInt64LE(offset);
  if (value > 1n << 48n) throw elfError('has a number out of range');
  return Number(value);
}

function elfError(why: string): VolleyError {
  return new VolleyError('ERR_VOLLEY_KERNEL', why);
}
