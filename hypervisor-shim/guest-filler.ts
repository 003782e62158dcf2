import type { Cluster, LoadReport, Manifest } from '../client/index.js';
import { isVolleyError } from '../src/errors.js';
import type { GuestMemory } from '../src/native.js';
import type { BootableKernel } from './kernel-image.js';
import { MemoryLayout } from './memory-layout.js';
import { type Placement, place, placeKernel } from './placement.js';

/** Every split of q35's RAM leaves at least this much below 4 GiB, or all there is. */
const LOW_RAM_CERTAIN = 2 ** 31;

/** A kernel that stands in the cluster. */
export interface StoredKernel {
  manifest: Manifest;
  kernel: BootableKernel;
}

export interface FilledGuest {
  placement: Placement;
  initrdBytes: number;
  loads: LoadReport[];
}

/** Loads kernel and initrd into guest memory. */
export class GuestFiller {
  readonly #cluster: Pick<Cluster, 'open' | 'load'>;
  readonly #stored: StoredKernel;
  readonly #memory: GuestMemory;
  readonly #signal: AbortSignal;

  constructor(
    cluster: Pick<Cluster, 'open' | 'load'>,
    stored: StoredKernel,
    memory: GuestMemory,
    signal: AbortSignal,
  ) {
    this.#cluster = cluster;
    this.#stored = stored;
    this.#memory = memory;
    this.#signal = signal;
  }

  /**
   * Loads at once, to where the images may lie in any layout that a q35 machine has, while QEMU still starts; when its
   * monitor then tells another layout, or that there is room above 4 GiB only, loads again to the right place.
   * @throws VolleyError ERR_VOLLEY_MEMORY that says how much is needed, or what Cluster.open and Cluster.load throw
   */
  async fill(initrdName: string, layoutTold: Promise<MemoryLayout>): Promise<FilledGuest> {
    const certainBytes = Math.min(this.#memory.bytes, LOW_RAM_CERTAIN);
    const certain = new MemoryLayout([{ address: 0, bytes: certainBytes, offset: 0 }]);
    const initrd = this.#cluster.open(initrdName, this.#signal);
    // It is waited for after the kernel's load; until then its failure must not end the process.
    initrd.catch(() => {});
    const [early, layout] = await Promise.allSettled([this.#fillEarly(initrd, certain), layoutTold]);
    if (layout.status === 'rejected') throw layout.reason;
    if (early.status === 'fulfilled' && this.#standsRight(early.value, layout.value)) return early.value;
    if (early.status === 'rejected' && !isLackOfMemory(early.reason)) throw early.reason;
    return this.#fillInto(await initrd, layout.value);
  }

  /** The kernel first, without waiting for the initrd's manifest. */
  async #fillEarly(initrdTold: Promise<Manifest>, layout: MemoryLayout): Promise<FilledGuest> {
    const { manifest, kernel } = this.#stored;
    // One after the other: each takes all the threads and links there are, and QEMU needs a processor, too.
    const kernelOffset = placeKernel(kernel, manifest.imageBytes, layout);
    const kernelLoad = await this.#load(manifest, kernelOffset, true);
    const initrd = await initrdTold;
    const placement = place(kernel, manifest.imageBytes, initrd.imageBytes, layout);
    const initrdLoad = await this.#load(initrd, placement.initrdOffset, true);
    return { placement, initrdBytes: initrd.imageBytes, loads: [kernelLoad, initrdLoad] };
  }

  async #fillInto(initrd: Manifest, layout: MemoryLayout): Promise<FilledGuest> {
    const { manifest, kernel } = this.#stored;
    const placement = place(kernel, manifest.imageBytes, initrd.imageBytes, layout);
    const kernelLoad = await this.#load(manifest, placement.kernelOffset, false);
    const initrdLoad = await this.#load(initrd, placement.initrdOffset, false);
    return { placement, initrdBytes: initrd.imageBytes, loads: [kernelLoad, initrdLoad] };
  }

  #load(image: Manifest, destinationOffset: number, destinationIsZero: boolean): Promise<LoadReport> {
    const target = { destination: this.#memory, destinationOffset, destinationIsZero };
    return this.#cluster.load(image, { ...target, signal: this.#signal });
  }

  #standsRight({ placement, initrdBytes }: FilledGuest, layout: MemoryLayout): boolean {
    const { manifest, kernel } = this.#stored;
    const { kernelOffset, initrdAddress, initrdOffset } = placement;
    return (
      placeKernel(kernel, manifest.imageBytes, layout) === kernelOffset &&
      layout.offsetOf(initrdAddress, initrdBytes) === initrdOffset
    );
  }
}

function isLackOfMemory(error: unknown): boolean {
  return isVolleyError(error) && error.code === 'ERR_VOLLEY_MEMORY';
}
