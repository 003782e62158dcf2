import { randomInt } from 'node:crypto';
import type { GuestMemory } from '../src/native.js';
import type { BootableKernel } from './kernel-image.js';

/** Who draws the kernel's address: the hook, the kernel's own decompressor in the guest, or nobody. */
export interface KaslrChoice {
  by: 'volley' | 'guest' | null;
  reason: string;
}

/** Draws one of `count` with equal chance, 0 … count − 1. */
export type Draw = (count: number) => number;

/** Bytes of the kernel's own mapping that a kernel with KASLR may lie in (KERNEL_IMAGE_SIZE). */
const VIRTUAL_BYTES = 1 << 30;
const KERNEL_MAP = 0xffffffff80000000n;
/** Offset of loadflags in the setup sectors, and the flag by which a decompressor says that it drew an address. */
const LOADFLAGS = 0x211;
const KASLR_FLAG = 2;

export const drawAtRandom: Draw = (count) => randomInt(count);

/** What is to become of a kernel's address, from how it is stored and what its command line asks for. */
export function chooseKaslr(kind: 'raw' | 'kernel', kernel: BootableKernel, cmdline: string): KaslrChoice {
  if (words(cmdline).includes('nokaslr')) return { by: null, reason: 'nokaslr stands on the command line' };
  if (kind === 'raw') return { by: 'guest', reason: 'the kernel is stored packed and unpacks itself' };
  if (kernel.relocations) return { by: 'volley', reason: 'drawn for this boot' };
  const cause = 'built without CONFIG_RANDOMIZE_BASE, or stored by Volley 0.1.0: then upload it again';
  return { by: null, reason: `the stored kernel has no relocations (${cause})` };
}

/**
 * Setup sectors whose loadflags say whether an address was drawn, as the decompressor would leave them: by this the
 * kernel decides whether it also draws where it maps memory and modules.
 */
export function markSetup(setup: Buffer, isRandom: boolean): Buffer {
  const marked = Buffer.from(setup);
  const flags = marked.readUInt8(LOADFLAGS) & ~KASLR_FLAG;
  marked.writeUInt8(isRandom ? flags | KASLR_FLAG : flags, LOADFLAGS);
  return marked;
}

/** Bytes that a kernel needs from its first byte on, wherever it lies. */
export function roomOf(kernel: BootableKernel): number {
  return Math.max(kernel.memoryBytes, kernel.bzImage.initBytes);
}

/** How many places of the kernel's alignment there are from its base on so that it ends at `end` or below; 1 or more. */
export function placesBelow(kernel: BootableKernel, end: number): number {
  const { alignment } = kernel.bzImage;
  if (kernel.base % alignment !== 0) return 1;
  return Math.max(0, Math.floor((end - roomOf(kernel) - kernel.base) / alignment)) + 1;
}

/** How far above the address that it was linked for the kernel is to run, in bytes of virtual address. */
export function drawVirtualDelta(kernel: BootableKernel, draw: Draw): number {
  return draw(placesBelow(kernel, VIRTUAL_BYTES)) * kernel.bzImage.alignment;
}

/**
 * Where guest RAM ends for the kernel, as far as its command line says so (`mem=`); null when it moves pieces of RAM
 * about (`memmap=`), so that only the place that it was linked for is as certain as without KASLR.
 */
export function memoryLimit(cmdline: string): number | null {
  let limit = Number.POSITIVE_INFINITY;
  for (const word of words(cmdline)) {
    if (word.startsWith('memmap=')) return null;
    const match = /^mem=(0x[0-9a-f]+|\d+)([kmgtpe]?)/i.exec(word);
    if (!match) continue;
    const digits = match[1]!;
    const number = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
    const bytes = number * 1024 ** ' kmgtpe'.indexOf((match[2] || ' ').toLowerCase());
    if (bytes > 0) limit = Math.min(limit, bytes);
  }
  return limit;
}

/** The kernel's first virtual address, as a hexadecimal number. */
export function virtualAddress(kernel: BootableKernel, delta: number): string {
  return `0x${(KERNEL_MAP + BigInt(kernel.base + delta)).toString(16)}`;
}

/**
 * Makes a kernel that stands in guest memory fit to run `delta` above where it was linked for.
 * @param offset of the stored image's first byte in the memory, a multiple of 4
 * @throws VolleyError ERR_VOLLEY_KERNEL when a relocation points outside the kernel
 */
export function relocate(
  memory: GuestMemory,
  offset: number,
  imageBytes: number,
  kernel: BootableKernel,
  delta: number,
): void {
  if (!kernel.relocations || delta === 0) return;
  const headerBytes = kernel.base - kernel.loadAddress;
  const image = { offset: offset + headerBytes, length: imageBytes - headerBytes };
  const { count64, countInverse32, count32 } = kernel.relocations;
  let at = offset + kernel.relocations.offset;
  for (const [count, wordBytes, addend] of [
    [count64, 8, delta],
    [countInverse32, 4, -delta],
    [count32, 4, delta],
  ] as const) {
    memory.relocate({ offset: at, count }, image, wordBytes, addend);
    at += count * 4;
  }
}

function words(cmdline: string): string[] {
  return cmdline.split(/\s+/);
}
