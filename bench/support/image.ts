import { randomBytes } from 'node:crypto';

const PIECE_BYTES = 64 << 20;

/** Random bytes: every chunk another, none compressible, none zero. */
export function randomImage(bytes: number): Buffer {
  const image = Buffer.allocUnsafeSlow(bytes);
  for (let at = 0; at < bytes; at += PIECE_BYTES)
    randomBytes(Math.min(PIECE_BYTES, bytes - at)).copy(image, at);
  return image;
}
