import { VolleyError } from '../src/errors.js';

/** Bytes at the start of a bzImage that hold every header field read here. */
export const BZIMAGE_HEADER_BYTES = 0x268;

const SECTOR = 512;
const PROTOCOL_2_12 = 0x020c; // the first with xloadflags
const LOADED_HIGH = 1;
const XLF_KERNEL_64 = 1;
const XLF_CAN_BE_LOADED_ABOVE_4G = 2;
/** The 64-bit entry point's distance from the protected-mode part's start. */
const ENTRY_64 = 0x200;

/** A bzImage's header, checked. Field names and offsets: Documentation/arch/x86/boot.rst. */
export class BzImage {
  private constructor(
    /** Real-mode setup sectors, boot sector included: the file's first bytes. */
    readonly setupBytes: number,
    /** Where the compressed kernel stands in the file. */
    readonly payloadOffset: number,
    readonly payloadBytes: number,
    /** Guest physical address that the kernel is linked for. */
    readonly preferredAddress: number,
    readonly alignment: number,
    readonly relocatable: boolean,
    /** Memory that the kernel needs from its load address on before it has read the memory map. */
    readonly initBytes: number,
    /** Highest address that a byte of the initrd may have, unless it may lie anywhere. */
    readonly initrdAddressMax: number,
    readonly initrdAbove4G: boolean,
    /** Longest command line, without the closing NUL. */
    readonly cmdlineBytesMax: number,
  ) {}

  readonly entryOffset = ENTRY_64;

  /**
   * @param head the file's first bytes, at least BZIMAGE_HEADER_BYTES
   * @param fileBytes the size of the whole file
   * @param what names the file in errors
   * @throws VolleyError ERR_VOLLEY_KERNEL
   */
  static parse(head: Buffer, fileBytes: number, what: string): BzImage {
    checkMagic(head, fileBytes, what);
    const setupBytes = ((head.readUInt8(0x1f1) || 4) + 1) * SECTOR;
    const payloadOffset = setupBytes + head.readUInt32LE(0x248);
    const payloadBytes = head.readUInt32LE(0x24c);
    if (setupBytes + ENTRY_64 >= fileBytes || payloadOffset + payloadBytes > fileBytes) {
      throw kernelError(what, `is cut off: ${fileBytes} bytes, its header promises more`);
    }
    const xloadflags = head.readUInt16LE(0x236);
    if (!(xloadflags & XLF_KERNEL_64)) throw kernelError(what, 'has no 64-bit entry point');
    if (!(head.readUInt8(0x211) & LOADED_HIGH)) throw kernelError(what, 'is a zImage, not a bzImage');
    const alignment = head.readUInt32LE(0x230);
    const preferred = head.readBigUInt64LE(0x258);
    if (alignment < 4096 || (alignment & (alignment - 1)) !== 0 || preferred >= 1n << 32n) {
      throw kernelError(what, `wants an odd place in memory (address ${preferred}, alignment ${alignment})`);
    }
    return new BzImage(
      setupBytes,
      payloadOffset,
      payloadBytes,
      Number(preferred),
      alignment,
      head.readUInt8(0x234) !== 0,
      head.readUInt32LE(0x260),
      head.readUInt32LE(0x22c),
      (xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G) !== 0,
      head.readUInt32LE(0x238),
    );
  }
}

function checkMagic(head: Buffer, fileBytes: number, what: string): void {
  if (fileBytes < BZIMAGE_HEADER_BYTES || head.length < BZIMAGE_HEADER_BYTES) {
    throw kernelError(what, `is too short for a kernel (${fileBytes} bytes)`);
  }
  if (head.readUInt32BE(0) === 0x7f454c46) {
    throw kernelError(what, 'is an ELF file without real-mode setup code');
  }
  if (head.readUInt16LE(0x1fe) !== 0xaa55 || head.toString('latin1', 0x202, 0x206) !== 'HdrS') {
    throw kernelError(what, 'is no x86 kernel (no HdrS in its header)');
  }
  const version = head.readUInt16LE(0x206);
  if (version < PROTOCOL_2_12) {
    throw kernelError(what, `speaks boot protocol ${version >> 8}.${version & 0xff}, 2.12 is needed`);
  }
}

function kernelError(what: string, why: string): VolleyError {
  return new VolleyError('ERR_VOLLEY_KERNEL', `${what} ${why}; give a bzImage such as /boot/vmlinuz-…`);
}
