import type { BoundedBytes } from './bounded-bytes.js';

const HEADER_BYTES = 110;
const TRAILER = 'TRAILER!!!';
/** Linux' PATH_MAX. */
const NAME_BYTES_MAX = 4096;

/**
 * Where an uncompressed archive (newc or crc) that begins at `offset` ends: behind its trailer. Undefined when it has
 * none, or is damaged.
 */
export async function endOfArchive(bytes: BoundedBytes, offset: number): Promise<number | undefined> {
  for (let at = offset; ; ) {
    const header = (await bytes.read(at, HEADER_BYTES + TRAILER.length)).toString('latin1');
    if (header.length < HEADER_BYTES || !/^07070[12][0-9a-f]{104}/i.test(header)) return undefined;
    const contentBytes = Number.parseInt(header.slice(54, 62), 16);
    const nameBytes = Number.parseInt(header.slice(94, 102), 16);
    if (nameBytes === 0 || nameBytes > NAME_BYTES_MAX) return undefined;
    const isTrailer = nameBytes === TRAILER.length + 1 && header.endsWith(TRAILER);
    at = alignedTo4(alignedTo4(at + HEADER_BYTES + nameBytes) + contentBytes);
    if (isTrailer) return Math.min(at, bytes.length);
  }
}

function alignedTo4(offset: number): number {
  return Math.ceil(offset / 4) * 4;
}
