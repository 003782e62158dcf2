import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LocalRegion, native } from '../../src/native.js';
import { chunkKey, placeItem, recordOf, wholeArena } from './items.js';
import { Random } from './random.js';

const PAGE_BYTES = 1_054_720;
const SLOT_OVERHEAD_BYTES = 192;

/** Chunks that a region holds, and their records; the last chunk may be shorter. */
export interface FaultImage {
  chunkBytes: number;
  chunks: Buffer[];
  records: Buffer;
}

function makeImage(random: Random, chunkBytes: number, count: number, lastBytes: number): FaultImage {
  const chunks = Array.from({ length: count }, (_, i) =>
    random.bytes(i === count - 1 ? lastBytes : chunkBytes),
  );
  return { chunkBytes, chunks, records: Buffer.concat(chunks.map(recordOf)) };
}

/** Images of several chunk sizes in a region, mapped as a client maps it. The same bytes every time. */
export async function regionWithImages(): Promise<{
  images: FaultImage[];
  mapped: LocalRegion;
  close: () => void;
}> {
  const random = new Random(1);
  const images = [
    makeImage(random, 256, 60, 9),
    makeImage(random, 1024, 40, 1000),
    makeImage(random, 4096, 24, 1),
  ];
  const region = new (native().Region)({ arenaBytes: PAGE_BYTES, tableItems: 1024, hugepages: false });
  const arena = wholeArena(region);
  let slot = 0;
  for (const chunk of images.flatMap((image) => image.chunks)) {
    region.link(placeItem(arena, slot, chunkKey(recordOf(chunk)), chunk).slot);
    slot += Math.ceil((chunk.length + SLOT_OVERHEAD_BYTES) / 64) * 64;
  }
  const path = join(tmpdir(), `volley-test-${process.pid}-${randomBytes(4).toString('hex')}.sock`);
  region.share(path);
  const mapped = await native().openLocalRegion(path, 1000);
  const close = () => {
    mapped.close();
    region.close();
  };
  return { images, mapped, close };
}
