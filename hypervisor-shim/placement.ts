import { VolleyError } from '../src/errors.js';
import { formatBytes } from '../src/units.js';
import { type Draw, placesBelow } from './kaslr.js';
import { type BootableKernel, IMAGE_ADDRESS_MIN } from './kernel-image.js';
import type { MemoryLayout, RamRange } from './memory-layout.js';

/** Firmware pages in the top 17 MB below 4 GiB; images keep clear of twice that. */
const FIRMWARE_TOP_BYTES = 32 << 20;
const PAGE = 4096;
const MIB = 1 << 20;
/** What a guest wants beside kernel and initrd, to run and not just to start. */
const WORKING_BYTES = 64 << 20;

/** Where kernel and initrd go; addresses are guest physical, offsets count in the memory backend. */
export interface Placement {
  /** Of the kernel's first byte, its header area not counted. */
  kernelAddress: number;
  /** Of the stored kernel's first byte. */
  kernelOffset: number;
  /** Both are 0 when there is no initrd. */
  initrdAddress: number;
  initrdOffset: number;
}

/** How the kernel's place is drawn: among those that end at `limit` or below. */
export interface RandomPlace {
  draw: Draw;
  limit: number;
}

/**
 * Puts the initrd as high as it may lie, below 4 GiB, else above where the kernel allows that; and the kernel where it
 * was linked for, or to a random place between that and whatever lies above it.
 * @param kernelBytes size of the kernel's image
 * @throws VolleyError ERR_VOLLEY_MEMORY that says how much guest memory is needed
 */
export function place(
  kernel: BootableKernel,
  kernelBytes: number,
  initrdBytes: number,
  layout: MemoryLayout,
  random?: RandomPlace,
): Placement {
  const low = lowRange(layout);
  const kernelEnd = Math.max(kernel.base + kernel.memoryBytes, kernel.loadAddress + kernelBytes);
  if (kernelEnd > low.end) throw tooSmall(kernel, initrdBytes);
  const initrd = placeInitrd(kernel, kernelEnd, initrdBytes, layout);
  const free = initrdBytes > 0 && initrd.initrdAddress < low.end ? initrd.initrdAddress : low.end;
  const places = random ? placesBelow(kernel, Math.min(free, random.limit)) : 1;
  const moved = random && places > 1 ? random.draw(places) * kernel.bzImage.alignment : 0;
  const kernelOffset = layout.offsetOf(kernel.loadAddress + moved, kernelBytes);
  return { kernelAddress: kernel.base + moved, kernelOffset, ...initrd };
}

/** Whether images that were placed by a layout that was expected may stay where they are in the one there is. */
export function isStillRight(
  placement: Placement,
  kernel: BootableKernel,
  kernelBytes: number,
  initrdBytes: number,
  layout: MemoryLayout,
): boolean {
  const { kernelAddress, kernelOffset, initrdAddress, initrdOffset } = placement;
  const loadAddress = kernel.loadAddress + (kernelAddress - kernel.base);
  return (
    kernelAddress + kernel.memoryBytes <= lowRange(layout).end &&
    isAt(kernelOffset, loadAddress, kernelBytes, layout) &&
    (initrdBytes === 0 || isAt(initrdOffset, initrdAddress, initrdBytes, layout))
  );
}

function isAt(offset: number, address: number, bytes: number, layout: MemoryLayout): boolean {
  const range = layout.rangeAt(address);
  return (
    range !== undefined &&
    address + bytes <= range.address + range.bytes &&
    range.offset + (address - range.address) === offset
  );
}

function placeInitrd(kernel: BootableKernel, kernelEnd: number, initrdBytes: number, layout: MemoryLayout) {
  if (initrdBytes === 0) return { initrdAddress: 0, initrdOffset: 0 };
  const { initrdAddressMax, initrdAbove4G } = kernel.bzImage;
  const lowEnd = Math.min(lowRange(layout).end, initrdAddressMax + 1);
  let address = alignDown(lowEnd - initrdBytes);
  if (address < kernelEnd) {
    const high = initrdAbove4G
      ? layout.above4G.find((range) => range.bytes >= initrdBytes + PAGE)
      : undefined;
    if (!high) throw tooSmall(kernel, initrdBytes);
    address = alignDown(high.address + high.bytes - initrdBytes);
  }
  return { initrdAddress: address, initrdOffset: layout.offsetOf(address, initrdBytes) };
}

/** The low RAM that images may fill: from 2 MiB to 32 MiB below its end. */
function lowRange(layout: MemoryLayout): { end: number } {
  const range: RamRange | undefined = layout.rangeAt(IMAGE_ADDRESS_MIN);
  return { end: range ? range.address + range.bytes - FIRMWARE_TOP_BYTES : 0 };
}

function tooSmall(kernel: BootableKernel, initrdBytes: number): VolleyError {
  const kernelEnd = kernel.base + kernel.memoryBytes;
  const least = Math.ceil((kernelEnd + initrdBytes + FIRMWARE_TOP_BYTES) / MIB);
  // An initrd is unpacked beside itself.
  const advised =
    Math.ceil((kernelEnd + 2 * initrdBytes + FIRMWARE_TOP_BYTES + WORKING_BYTES) / (64 * MIB)) * 64;
  const parts = `kernel up to ${formatBytes(kernelEnd)}, initrd ${formatBytes(initrdBytes)}, firmware 33.6 MB`;
  return new VolleyError(
    'ERR_VOLLEY_MEMORY',
    `guest memory is too small: at least ${least}M are needed (${parts}); give --memory ${advised}M or more`,
  );
}

function alignDown(address: number): number {
  return Math.floor(address / PAGE) * PAGE;
}
