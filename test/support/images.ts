import { type Cluster, type LoadOptions, type LoadReport, native } from '../../client/index.js';
import { randomBytes } from './seed.js';

export const CHUNK_BYTES = 32 * 1024;

/** Random bytes that make that many chunks, the last of them short by `shortBy`. */
export function randomImage(chunks: number, shortBy = 0): Buffer {
  return randomBytes(chunks * CHUNK_BYTES - shortBy);
}

/** Loads an image into memory of its own. */
export async function loadBytes(
  cluster: Cluster,
  name: string,
  options: Omit<LoadOptions, 'destination'> = {},
): Promise<{ bytes: Buffer; report: LoadReport }> {
  const image = await cluster.open(name);
  const destination = native().GuestMemory.create(Math.max(1, image.imageBytes));
  try {
    const report = await cluster.load(image, { destination, destinationIsZero: true, ...options });
    return { bytes: destination.read(0, image.imageBytes), report };
  } finally {
    destination.close();
  }
}
