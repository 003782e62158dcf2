import { VolleyError } from '../src/errors.js';
import { BZIMAGE_HEADER_BYTES, BzImage } from './bzimage.js';
import type { ElfImage } from './elf-image.js';

/**
 * The form in which a kernel is stored: a header area, then the flat memory image of its segments (docs/protocol.md,
 * "Kernel image"). Read linearly to guest address `base − headerBytes`, the kernel is in place.
 */
const MAGIC = 'VOLLEYKN';
const VERSION = 1;
const SETUP_OFFSET = 4096;
/** The header area is a multiple of this. */
const HEADER_UNIT = 65_536;
/** The longest header area: room for 255 setup sectors. */
export const KERNEL_HEADER_BYTES_MAX = 3 * HEADER_UNIT;
/** Images lie at this guest address or above: firmware writes below it. */
export const IMAGE_ADDRESS_MIN = 2 << 20;
const ADDRESS_LIMIT = 2 ** 32;

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
}

/** Makes the image to store from a bzImage's setup sectors and its unpacked kernel. */
export function encodeKernelImage(setup: Buffer, elf: ElfImage, vmlinux: Buffer): Buffer {
  const headerBytes = Math.ceil((SETUP_OFFSET + setup.length) / HEADER_UNIT) * HEADER_UNIT;
  const image = Buffer.alloc(headerBytes + elf.fileSpan);
  image.write(MAGIC, 0, 'latin1');
  image.writeUInt32LE(VERSION, 8);
  image.writeUInt32LE(headerBytes, 12);
  image.writeBigUInt64LE(BigInt(elf.base), 16);
  image.writeBigUInt64LE(BigInt(elf.entry), 24);
  image.writeBigUInt64LE(BigInt(elf.fileSpan), 32);
  image.writeBigUInt64LE(BigInt(elf.memorySpan), 40);
  image.writeUInt32LE(SETUP_OFFSET, 48);
  image.writeUInt32LE(setup.length, 52);
  setup.copy(image, SETUP_OFFSET);
  elf.layOut(vmlinux, image.subarray(headerBytes));
  return image;
}

/**
 * Reads a stored kernel's header back. Nothing in it is believed unchecked.
 * @param head the image's first bytes: KERNEL_HEADER_BYTES_MAX, or the whole image when it is shorter
 * @param imageBytes the size of the whole image
 * @throws VolleyError ERR_VOLLEY_KERNEL
 */
export function parseKernelHeader(
  head: Buffer,
  imageBytes: number,
  what = 'the stored kernel',
): BootableKernel {
  const bad = (why: string) => {
    throw new VolleyError('ERR_VOLLEY_KERNEL', `${what} ${why}; upload it again from a bzImage`);
  };
  if (head.length < SETUP_OFFSET || head.toString('latin1', 0, 8) !== MAGIC) bad('has no kernel header');
  if (head.readUInt32LE(8) !== VERSION)
    bad(`has kernel header version ${head.readUInt32LE(8)}, not ${VERSION}`);
  const headerBytes = head.readUInt32LE(12);
  const [base, entry, fileSpan, memoryBytes] = [16, 24, 32, 40].map((at) => Number(head.readBigUInt64LE(at)));
  const setupOffset = head.readUInt32LE(48);
  const setupBytes = head.readUInt32LE(52);
  if (headerBytes % HEADER_UNIT !== 0 || headerBytes === 0 || headerBytes > head.length)
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
  if (setupOffset < 56 || setupOffset + setupBytes > headerBytes || setupBytes < BZIMAGE_HEADER_BYTES) {
    bad('has its setup sectors outside its header');
  }
  const setup = Buffer.from(head.subarray(setupOffset, setupOffset + setupBytes));
  // The setup sectors' own header speaks of the bzImage they came from, whose size is not known any more.
  const bzImage = BzImage.parse(setup, ADDRESS_LIMIT * 2, what);
  if (bzImage.setupBytes !== setupBytes) bad('has setup sectors of another length than they say');
  return {
    setup,
    loadAddress: base! - headerBytes,
    entry: entry!,
    base: base!,
    memoryBytes: memoryBytes!,
    bzImage,
  };
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
  };
}
