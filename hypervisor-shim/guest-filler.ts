import type { Cluster, LoadReport, Manifest } from '../client/index.js';
import { isVolleyError } from '../src/errors.js';
import type { GuestMemory } from '../src/native.js';
import { drawAtRandom, drawVirtualDelta, type KaslrChoice, memoryLimit, relocate } from './kaslr.js';
import type { BootableKernel } from './kernel-image.js';
import { MemoryLayout } from './memory-layout.js';
import { isStillRight, type Placement, place, type RandomPlace } from './placement.js';

/** Every split of q35's RAM leaves at least this much below 4 GiB, or all there is. */
const LOW_RAM_CERTAIN = 2 ** 31;

/** A kernel that stands in the cluster. */
export interface StoredKernel {
  manifest: Manifest;
  kernel: BootableKernel;
}

export interface FilledGuest {
  placement: Placement;
  /** How far above the virtual address that it was linked for the kernel runs. */
  virtualDelta: number;
  loads: LoadReport[];
}

/** What a guest is filled with. */
export interface GuestImages {
  kernel: StoredKernel;
  /** Null: the kernel has its own, or needs none. */
  initrd: Manifest | null;
  kaslr: KaslrChoice;
  cmdline: string;
}

/** Loads kernel and initrd into guest memory, and moves the kernel to addresses that it draws. */
export class GuestFiller {
  readonly #cluster: Pick<Cluster, 'load'>;
  readonly #images: GuestImages;
  readonly #memory: GuestMemory;
  readonly #signal: AbortSignal;

  constructor(cluster: Pick<Cluster, 'load'>, images: GuestImages, memory: GuestMemory, signal: AbortSignal) {
    this.#cluster = cluster;
    this.#images = images;
    this.#memory = memory;
    this.#signal = signal;
  }

  /**
   * Loads at once, to where the images may lie in any layout that a q35 machine has, while QEMU still starts; when its
   * monitor then reports another layout, or that there is room above 4 GiB only, loads again to the right place.
   * @throws VolleyError ERR_VOLLEY_MEMORY that says how much is needed, or what Cluster.load throws
   */
  async fill(layoutRead: Promise<MemoryLayout>): Promise<FilledGuest> {
    const certainBytes = Math.min(this.#memory.bytes, LOW_RAM_CERTAIN);
    const certain = new MemoryLayout([{ address: 0, bytes: certainBytes, offset: 0 }]);
    const [early, layout] = await Promise.allSettled([this.#fillInto(certain, true), layoutRead]);
    if (layout.status === 'rejected') throw layout.reason;
    if (early.status === 'fulfilled' && this.#isStillRight(early.value, layout.value)) return early.value;
    if (early.status === 'rejected' && !isLackOfMemory(early.reason)) throw early.reason;
    return this.#fillInto(layout.value, false);
  }

  async #fillInto(layout: MemoryLayout, memoryIsZero: boolean): Promise<FilledGuest> {
    const { kernel: stored, initrd } = this.#images;
    const { manifest, kernel } = stored;
    const placement = place(kernel, manifest.imageBytes, this.#initrdBytes, layout, this.#randomPlace());
    // One after the other: each takes all the threads and links there are, and QEMU needs a processor, too.
    const loads = [await this.#load(manifest, placement.kernelOffset, memoryIsZero)];
    const virtualDelta = this.#images.kaslr.by === 'volley' ? drawVirtualDelta(kernel, drawAtRandom) : 0;
    relocate(this.#memory, placement.kernelOffset, manifest.imageBytes, kernel, virtualDelta);
    if (initrd) loads.push(await this.#load(initrd, placement.initrdOffset, memoryIsZero));
    return { placement, virtualDelta, loads };
  }

  #randomPlace(): RandomPlace | undefined {
    const limit = memoryLimit(this.#images.cmdline);
    if (this.#images.kaslr.by !== 'volley' || limit === null) return undefined;
    return { draw: drawAtRandom, limit };
  }

  #load(image: Manifest, destinationOffset: number, destinationIsZero: boolean): Promise<LoadReport> {
    const target = { destination: this.#memory, destinationOffset, destinationIsZero };
    return this.#cluster.load(image, { ...target, signal: this.#signal });
  }

  #isStillRight({ placement }: FilledGuest, layout: MemoryLayout): boolean {
    const { manifest, kernel } = this.#images.kernel;
    return isStillRight(placement, kernel, manifest.imageBytes, this.#initrdBytes, layout);
  }

  get #initrdBytes(): number {
    return this.#images.initrd?.imageBytes ?? 0;
  }
}

function isLackOfMemory(error: unknown): boolean {
  return isVolleyError(error) && error.code === 'ERR_VOLLEY_MEMORY';
}
