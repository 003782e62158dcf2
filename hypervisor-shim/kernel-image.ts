import { VolleyError } from '../src/errors.js';
import { BZIMAGE_HEADER_BYTES, BzImage } from './bzimage.js';
import type { ElfImage } from './elf-image.js';
import { decodeFields, encodeFields, type KernelField } from './kernel-fields.js';
import type { Relocations } from './kernel-relocations.js';

/**
 * The form in which a kernel is stored: a header area, then the flat memory image of its segments (docs/protocol.md,
 * "Kernel image"). Read linearly to guest address `base − headerBytes`, the kernel is in place.
 */
const MAGIC = 'VOLLEYKN';
/** Has fields behind the fixed header; a kernel without any is stored as version 1. */
const VERSION_WITH_FIELDS = 2;
const FIELDS_OFFSET = 64;
const SETUP_OFFSET = 4096;
/** The header area is a multiple of this. */
const HEADER_UNIT = 65_536;
/** The longest header area, relocations included. */
const HEADER_BYTES_MAX = 16 << 20;
/** The first bytes of a stored kernel that hold all but its relocations: room for 255 setup sectors. */
export const KERNEL_HEAD_BYTES_MAX = 3 * HEADER_UNIT;
/** Images lie at this guest address or above: firmware writes below it. */
export const IMAGE_ADDRESS_MIN = 2 << 20;
const ADDRESS_LIMIT = 2 ** 32;
const FIELD_RELOCATIONS = 1;
const KNOWN_FIELDS = new Set([FIELD_RELOCATIONS]);

/** Where a stored kernel's relocations stand: u32 distances from the kernel's first byte, kind after kind. */
export interface RelocationTable {
  /** From the image's first byte on; a multiple of 4. */
  offset: number;
  count64: number;
  countInverse32: number;
  count32: number;
}

/** What the boot hook must know of a stored kernel, whatever its form. */
export interface BootableKernel {
  /** Real-mode setup sectors: what QEMU gets in front of the stub. */
  setup: Buffer;
  /** Guest physical address for the image's first byte. */
  loadAddress: number;
  /** Guest physical address of the 64-bit entry point. */
  entry: number;
  /** Guest physical memory that the kernel owns at its start. */
  base: number;
  memoryBytes: number;
  bzImage: BzImage;
  /** By which the hook can move the kernel, or null when it must stay, or when the guest moves it itself. */
  relocations: RelocationTable | null;
}

/**
 * Makes the image to store from a bzImage's setup sectors and its unpacked kernel.
 * @param relocations are left out when there is no room for them below the kernel
 */
export function encodeKernelImage(
  setup: Buffer,
  elf: ElfImage,
  vmlinux: Buffer,
  relocations: Relocations | null = null,
): Buffer {
  const table = relocations ? encodeTable(relocations) : Buffer.alloc(0);
  const tableOffset = SETUP_OFFSET + Math.ceil(setup.length / 8) * 8;
  const headerBytes = Math.ceil((tableOffset + table.length) / HEADER_UNIT) * HEADER_UNIT;
  const isTooLong = headerBytes > HEADER_BYTES_MAX || elf.base < IMAGE_ADDRESS_MIN + headerBytes;
  if (relocations && isTooLong) return encodeKernelImage(setup, elf, vmlinux);
  const image = Buffer.alloc(headerBytes + elf.fileSpan);
  image.write(MAGIC, 0, 'latin1');
  image.writeUInt32LE(relocations ? VERSION_WITH_FIELDS : 1, 8);
  image.writeUInt32LE(headerBytes, 12);
  image.writeBigUInt64LE(BigInt(elf.base), 16);
  image.writeBigUInt64LE(BigInt(elf.entry), 24);
  image.writeBigUInt64LE(BigInt(elf.fileSpan), 32);
  image.writeBigUInt64LE(BigInt(elf.memorySpan), 40);
  image.writeUInt32LE(SETUP_OFFSET, 48);
  image.writeUInt32LE(setup.length, 52);
  if (relocations) {
    const fields = encodeFields([relocationField(relocations, tableOffset)]);
    image.writeUInt32LE(fields.length, 56);
    fields.copy(image, FIELDS_OFFSET);
    table.copy(image, tableOffset);
  }
  setup.copy(image, SETUP_OFFSET);
  elf.layOut(vmlinux, image.subarray(headerBytes));
  return image;
}

/** A reader that cannot relocate boots the kernel where it was linked for. */
function relocationField({ words64, inverse32, words32 }: Relocations, offset: number): KernelField {
  const payload = Buffer.alloc(16);
  [offset, words64.length, inverse32.length, words32.length].forEach((n, i) => {
    payload.writeUInt32LE(n, i * 4);
  });
  return { type: FIELD_RELOCATIONS, isRequired: false, payload };
}

function encodeTable({ words64, inverse32, words32 }: Relocations): Buffer {
  const distances = [...words64, ...inverse32, ...words32];
  const table = Buffer.alloc(distances.length * 4);
  distances.forEach((distance, i) => {
    table.writeUInt32LE(distance, i * 4);
  });
  return table;
}

/**
 * Reads a stored kernel's header back, of version 1 or 2. Nothing in it is believed unchecked.
 * @param head the image's first bytes: KERNEL_HEAD_BYTES_MAX, or the whole image when it is shorter
 * @param imageBytes the size of the whole image
 * @throws VolleyError ERR_VOLLEY_KERNEL
 */
export function parseKernelHeader(
  head: Buffer,
  imageBytes: number,
  what = 'the stored kernel',
): BootableKernel {
  const bad: Refuse = (why) => {
    throw new VolleyError('ERR_VOLLEY_KERNEL', `${what} ${why}; upload it again from a bzImage`);
  };
  if (head.length < SETUP_OFFSET || head.toString('latin1', 0, 8) !== MAGIC) bad('has no kernel header');
  const version = head.readUInt32LE(8);
  if (version < 1 || version > VERSION_WITH_FIELDS) {
    bad(`has kernel header version ${version}; this Volley reads 1 to ${VERSION_WITH_FIELDS}`);
  }
  const headerBytes = head.readUInt32LE(12);
  const headerBytesMax = version === 1 ? KERNEL_HEAD_BYTES_MAX : HEADER_BYTES_MAX;
  const [base, entry, fileSpan, memoryBytes] = [16, 24, 32, 40].map((at) => Number(head.readBigUInt64LE(at)));
  if (headerBytes % HEADER_UNIT !== 0 || headerBytes === 0 || headerBytes > headerBytesMax)
    bad('has an odd header size');
  if (headerBytes + fileSpan! !== imageBytes) bad(`is ${imageBytes} bytes, its header says otherwise`);
  if (
    base! < IMAGE_ADDRESS_MIN + headerBytes ||
    base! + memoryBytes! > ADDRESS_LIMIT ||
    memoryBytes! < fileSpan!
  ) {
    bad('does not fit where its header wants it');
  }
  if (entry! < base! || entry! >= base! + fileSpan!) bad('has its entry point outside itself');
  const bzImage = parseSetup(head.subarray(0, headerBytes), what, bad);
  return {
    setup: Buffer.from(head.subarray(head.readUInt32LE(48), head.readUInt32LE(48) + bzImage.setupBytes)),
    loadAddress: base! - headerBytes,
    entry: entry!,
    base: base!,
    memoryBytes: memoryBytes!,
    bzImage,
    relocations: version === 1 ? null : parseFields(head, headerBytes, bad),
  };
}

type Refuse = (why: string) => void;

function parseSetup(head: Buffer, what: string, bad: Refuse): BzImage {
  const [setupOffset, setupBytes] = [head.readUInt32LE(48), head.readUInt32LE(52)];
  if (setupOffset < 56 || setupOffset + setupBytes > head.length || setupBytes < BZIMAGE_HEADER_BYTES) {
    bad('has its setup sectors outside its header');
  }
  const setup = head.subarray(setupOffset, setupOffset + setupBytes);
  // The setup sectors' own header speaks of the bzImage they came from, whose size is not known any more.
  const bzImage = BzImage.parse(setup, ADDRESS_LIMIT * 2, what);
  if (bzImage.setupBytes !== setupBytes) bad('has setup sectors of another length than they say');
  return bzImage;
}

function parseFields(head: Buffer, headerBytes: number, bad: Refuse): RelocationTable | null {
  const bytes = head.readUInt32LE(56);
  if (FIELDS_OFFSET + bytes > SETUP_OFFSET) bad('has more fields than its header has room for');
  const fields = decodeFields(head.subarray(FIELDS_OFFSET, FIELDS_OFFSET + bytes), KNOWN_FIELDS);
  if (typeof fields === 'string') {
    bad(fields);
    return null;
  }
  const payload = fields.get(FIELD_RELOCATIONS);
  if (!payload) return null;
  if (payload.length < 16) bad('has a relocation field that is cut off');
  const [offset, count64, countInverse32, count32] = [0, 4, 8, 12].map((at) => payload.readUInt32LE(at));
  const end = offset! + (count64! + countInverse32! + count32!) * 4;
  if (offset! < SETUP_OFFSET || offset! % 4 !== 0 || end > headerBytes || head.readUInt32LE(16) % 4 !== 0) {
    bad('has its relocations outside its header, or at odd addresses');
  }
  return { offset: offset!, count64: count64!, countInverse32: countInverse32!, count32: count32! };
}

/**
 * A bzImage that is stored as it is: the guest unpacks it. It goes to the address it prefers, or to the next one that
 * is aligned as it wants, so that its setup sectors in front of it stay clear of firmware.
 * @param head the image's first bytes, all setup sectors among them
 * @throws VolleyError ERR_VOLLEY_KERNEL
 */
export function parseRawKernel(head: Buffer, imageBytes: number, what = 'the stored kernel'): BootableKernel {
  const bzImage = BzImage.parse(head, imageBytes, what);
  if (head.length < bzImage.setupBytes) throw new VolleyError('ERR_VOLLEY_KERNEL', `${what} is cut off`);
  const lowest = IMAGE_ADDRESS_MIN + bzImage.setupBytes;
  let base = bzImage.preferredAddress;
  if (base < lowest && bzImage.relocatable) base = Math.ceil(lowest / bzImage.alignment) * bzImage.alignment;
  if (base < lowest) {
    throw new VolleyError(
      'ERR_VOLLEY_KERNEL',
      `${what} wants to lie at ${base}, where firmware writes; rebuild it relocatable`,
    );
  }
  const memoryBytes = Math.max(bzImage.initBytes, imageBytes - bzImage.setupBytes);
  return {
    setup: Buffer.from(head.subarray(0, bzImage.setupBytes)),
    loadAddress: base - bzImage.setupBytes,
    entry: base + bzImage.entryOffset,
    base,
    memoryBytes,
    bzImage,
    relocations: null,
  };
}
