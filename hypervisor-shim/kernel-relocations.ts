import type { ElfImage } from './elf-image.js';

/**
 * The places in a kernel that hold one of its own virtual addresses, as distances in bytes from its first byte. A kernel
 * built for KASLR (CONFIG_RANDOMIZE_BASE) carries them behind its vmlinux (arch/x86/tools/relocs.c); one that is to run
 * `delta` above where it was linked for needs `delta` added to each.
 */
export interface Relocations {
  /** Words of 64 bits. */
  readonly words64: Uint32Array;
  /** Words of 32 bits that shrink as the kernel moves up: distances to per-CPU variables. None since Linux 6.15. */
  readonly inverse32: Uint32Array;
  /** Words of 32 bits. */
  readonly words32: Uint32Array;
}

/** Virtual address of physical address 0 in the kernel's own mapping, its lower half. */
const KERNEL_MAP = 0x80000000;

/**
 * The relocations of a vmlinux, or why there are none. Behind the ELF file stand u32s: a zero, the 64-bit places, a zero,
 * the inverse places and a zero (until Linux 6.14), the 32-bit places; each the lower half of a virtual address.
 */
export function readRelocations(vmlinux: Buffer, elf: ElfImage): Relocations | string {
  const tail = vmlinux.subarray(elf.fileBytes);
  if (tail.length === 0) return 'it was built without CONFIG_RANDOMIZE_BASE';
  const tables = splitAtZeros(tail);
  if (tables?.length !== 2 && tables?.length !== 3) return 'what follows its vmlinux is no relocation table';
  const words64 = distances(tables[0]!, elf, 8);
  const inverse32 = tables.length === 3 ? distances(tables[1]!, elf, 4) : new Uint32Array(0);
  const words32 = distances(tables.at(-1)!, elf, 4);
  if (!words64 || !inverse32 || !words32) return 'its relocation table points outside it';
  return { words64, inverse32, words32 };
}

/** What stands behind each zero, or undefined when the bytes are no such list; more than three are of no interest. */
function splitAtZeros(bytes: Buffer): Uint32Array[] | undefined {
  if (bytes.length % 4 !== 0) return undefined;
  const words = Uint32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(i * 4));
  if (words[0] !== 0) return undefined;
  const tables: Uint32Array[] = [];
  for (let start = 1; start > 0 && tables.length <= 3; ) {
    const end = words.indexOf(0, start);
    tables.push(words.subarray(start, end < 0 ? undefined : end));
    start = end + 1;
  }
  return tables;
}

function distances(addresses: Uint32Array, elf: ElfImage, wordBytes: number): Uint32Array | undefined {
  const linkedAt = KERNEL_MAP + elf.base;
  const last = elf.fileSpan - wordBytes;
  const isInside = (address: number) => address >= linkedAt && address - linkedAt <= last;
  return addresses.every(isInside) ? addresses.map((address) => address - linkedAt) : undefined;
}
