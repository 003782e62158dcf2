import * as assert from 'uvu/assert';
import type { Cluster, Manifest } from '../../client/index.js';
import { type GuestMemory, native } from '../../src/native.js';
import { holds, type LoadOutcome, outcomeOf } from './fabric.js';
import { CHUNK_BYTES } from './images.js';

const ATTEMPTS_MAX = 10;
const PAINT = 0x5a;
const LATE_PAINT = 0xa5;

/** A long image, loaded again and again into one memory, and what befalls a node in the middle of that. */
export class StruckLoad {
  readonly destination: GuestMemory;
  /** How long a load takes when nothing befalls it. */
  #quietMs = 0;

  private constructor(
    readonly cluster: Cluster,
    readonly image: Manifest,
    readonly content: Buffer,
  ) {
    this.destination = native().GuestMemory.create(content.length);
  }

  /** Uploads the image and loads it once. */
  static async prepare(cluster: Cluster, content: Buffer): Promise<StruckLoad> {
    await cluster.upload(content, { name: 'image' });
    const struck = new StruckLoad(cluster, await cluster.open('image'), content);
    // The first load copies tables and touches the memory; the second tells how long one takes.
    await struck.loadWhole();
    struck.#quietMs = (await struck.loadWhole()).seconds * 1000;
    return struck;
  }

  /** Loads, and demands that it succeeds and that every byte is right. */
  async loadWhole() {
    const { report, error } = await outcomeOf(this.cluster, this.image, { destination: this.destination });
    if (error) throw error;
    assert.ok(holds(this.destination, this.content), 'what was told as loaded is right');
    return report!;
  }

  /**
   * Loads and calls `strike` in the midst of it: early, for the nodes of a load are not done at the same time. What is told as loaded is compared; what failed must have been struck
   * when some of it was there and some not.
   */
  async strike(strike: () => void, readTimeoutMs: number): Promise<LoadOutcome> {
    const { cluster, image, destination, content } = this;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      destination.write(0, Buffer.alloc(content.length, PAINT));
      let struck = false;
      const timer = setTimeout(() => {
        struck = true;
        strike();
      }, this.#quietMs / 4);
      const outcome = await outcomeOf(cluster, image, { destination, readTimeoutMs });
      clearTimeout(timer);
      if (outcome.report) assert.ok(holds(destination, content), 'what was told as loaded is right');
      else this.#checkPartlyThere();
      if (struck) return outcome;
      assert.is(outcome.error, null);
    }
    throw new Error(`${ATTEMPTS_MAX} loads were over before they could be struck`);
  }

  #checkPartlyThere(): void {
    const memory = this.destination.read(0, this.content.length);
    const count = { there: 0, untouched: 0 };
    const paint = Buffer.alloc(CHUNK_BYTES, PAINT);
    for (let at = 0; at < memory.length; at += CHUNK_BYTES) {
      const chunk = memory.subarray(at, at + CHUNK_BYTES);
      if (chunk.equals(this.content.subarray(at, at + CHUNK_BYTES))) count.there++;
      else if (chunk.equals(paint)) count.untouched++;
    }
    assert.ok(count.there > 0 && count.untouched > 0, `in mid-load: ${JSON.stringify(count)}`);
  }

  /** Fills the destination; what it returns tells whether not a byte of it changed since. */
  paint(): () => boolean {
    const paint = Buffer.alloc(this.content.length, LATE_PAINT);
    this.destination.write(0, paint);
    return () => holds(this.destination, paint);
  }

  /** Demands that an error tells the image, the chunk and the node. */
  checkTold(error: Error, node: string): void {
    const place = new RegExp(`^image "image": chunk (\\d+) of ${this.image.chunkCount} on node (\\S+) `);
    const [, chunk, named] = place.exec(error.message) ?? [];
    assert.ok(Number(chunk) < this.image.chunkCount, error.message);
    assert.is(named, node, error.message);
    assert.not.match(error.message, /\n/);
  }

  close(): void {
    this.destination.close();
  }
}
