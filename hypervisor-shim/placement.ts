import { VolleyError } from '../src/errors.js';
import { formatBytes } from '../src/units.js';
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
  kernelOffset: number;
  initrdAddress: number;
  initrdOffset: number;
}

/**
 * The offset of a kernel's image in the memory backend.
 * @param initrdBytes what is to go beside it, as far as that is known: only told in the error
 * @throws VolleyError ERR_VOLLEY_MEMORY when guest memory is too small for the kernel
 */
export function placeKernel(
  kernel: BootableKernel,
  imageBytes: number,
  layout: MemoryLayout,
  initrdBytes = 0,
): number {
  const end = Math.max(kernel.base + kernel.memoryBytes, kernel.loadAddress + imageBytes);
  if (end > lowRange(layout).end) throw tooSmall(kernel, initrdBytes);
  return layout.offsetOf(kernel.loadAddress, imageBytes);
}

/**
 * Puts the kernel where it must be and the initrd as high as it may lie: below 4 GiB, else above where the kernel
 * allows that.
 * @param kernelBytes size of the kernel's image
 * @throws VolleyError ERR_VOLLEY_MEMORY that says how much guest memory is needed
 */
export function place(
  kernel: BootableKernel,
  kernelBytes: number,
  initrdBytes: number,
  layout: MemoryLayout,
): Placement {
  const kernelOffset = placeKernel(kernel, kernelBytes, layout, initrdBytes);
  const kernelEnd = Math.max(kernel.base + kernel.memoryBytes, kernel.loadAddress + kernelBytes);
  const low = lowRange(layout);
  const { initrdAddressMax, initrdAbove4G } = kernel.bzImage;
  const lowEnd = Math.min(low.end, initrdAddressMax + 1);
  const lowAddress = alignDown(lowEnd - initrdBytes);
  if (lowAddress >= kernelEnd) {
    return {
      kernelOffset,
      initrdAddress: lowAddress,
      initrdOffset: layout.offsetOf(lowAddress, initrdBytes),
    };
  }
  const high = initrdAbove4G ? layout.above4G.find((range) => range.bytes >= initrdBytes + PAGE) : undefined;
  if (!high) throw tooSmall(kernel, initrdBytes);
  const address = alignDown(high.address + high.bytes - initrdBytes);
  return { kernelOffset, initrdAddress: address, initrdOffset: layout.offsetOf(address, initrdBytes) };
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
