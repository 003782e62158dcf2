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
    const [early, layout] = await Promise.allSettled([this.#load(initrd, certain, true), layoutTold]);
    if (layout.status === 'rejected') throw layout.reason;
    if (early.status === 'rejected') {
      if (!isVolleyError(early.reason) || early.reason.code !== 'ERR_VOLLEY_MEMORY') throw early.reason;
      return this.#load(initrd, layout.value, false);
    }
    const stands = this.#standsRight(early.value, layout.value);
    return stands ? early.value : this.#load(initrd, layout.value, false);
  }

  async #load(
    initrdTold: Promise<Manifest>,
    layout: MemoryLayout,
    destinationIsZero: boolean,
  ): Promise<FilledGuest> {
    const { manifest, kernel } = this.#stored;
    const options = { destination: this.#memory, destinationIsZero, signal: this.#signal };
    const loads: LoadReport[] = [];
    // One after the other: each takes all the threads and links there are, and QEMU needs a processor, too.
    const kernelOffset = placeKernel(kernel, manifest.imageBytes, layout);
    loads.push(await this.#cluster.load(manifest, { ...options, destinationOffset: kernelOffset }));
    const initrd = await initrdTold;
    const placement = place(kernel, manifest.imageBytes, initrd.imageBytes, layout);
    loads.push(await this.#cluster.load(initrd, { ...options, destinationOffset: placement.initrdOffset }));
    return { placement, initrdBytes: initrd.imageBytes, loads };
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
