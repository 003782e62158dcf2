import { setTimeout as sleep } from 'node:timers/promises';
import { type FabricOffer, native, type Region, type RemoteRegion } from '../../src/native.js';
import type { CraftedRegion } from './crafted-region.js';
import { PROVIDER } from './fabric.js';
import { HOST } from './host.js';
import { wholeArena } from './items.js';

const ARENA_BYTES = 2 * 1_054_720;
const OPEN_TIMEOUT_MS = 5000;

/**
 * Memory that is offered over a fabric as a node would, and holds whatever a test has crafted: it lies in the arena of a
 * real region, and who opens it is told a base that leads there.
 */
export class LyingFabric {
  readonly #region: Region;
  #offer: FabricOffer;

  constructor(crafted: CraftedRegion) {
    this.#region = new (native().Region)({ arenaBytes: ARENA_BYTES, tableItems: 16, hugepages: false });
    wholeArena(this.#region).set(crafted.bytes);
    this.#offer = this.#listen(0);
  }

  #listen(port: number): FabricOffer {
    return this.#region.offer({
      provider: PROVIDER,
      host: HOST,
      port,
      connectionsMax: 64,
      placeHeldMs: 60_000,
    });
  }

  open(): Promise<RemoteRegion> {
    const base = this.#offer.base + BigInt(this.#region.info.arenaOffset);
    return native().openRemoteRegion({ ...this.#offer, base, host: HOST, timeoutMs: OPEN_TIMEOUT_MS });
  }

  /** Registers the memory anew, under another key and token, at the same port: what a restart does to who opened it before. */
  async changeKey(): Promise<void> {
    const { port, key } = this.#offer;
    // A connection that this side closes would keep the port for a minute.
    while (this.#region.fabricCounts.connections > 0) await sleep(5);
    this.#region.stopOffering();
    this.#offer = this.#listen(port);
    if (this.#offer.key === key) throw new Error('the fabric gave the same key again');
  }

  close(): void {
    this.#region.close();
  }
}
