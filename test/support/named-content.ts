import { createHash } from 'node:crypto';

const CHUNK_BYTES = 32 * 1024;
const CHUNKS = 12;

/** An image's content that follows from its name: some chunks of its own, one of zeros, one that all names share. */
export function contentOf(name: string): Buffer {
  const chunk = (text: string) => Buffer.alloc(CHUNK_BYTES, createHash('sha256').update(text).digest());
  const chunks = Array.from({ length: CHUNKS }, (_, i) => chunk(`${name} ${i}`));
  return Buffer.concat([...chunks, Buffer.alloc(CHUNK_BYTES), chunk('shared'), Buffer.from(name)]);
}
