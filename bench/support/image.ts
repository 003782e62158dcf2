import { randomBytes, randomFillSync } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';

const PIECE_BYTES = 64 << 20;

/** Random bytes: every chunk another, none compressible, none zero. */
export function randomImage(bytes: number): Buffer {
  const image = Buffer.allocUnsafeSlow(bytes);
  for (let at = 0; at < bytes; at += PIECE_BYTES)
    randomBytes(Math.min(PIECE_BYTES, bytes - at)).copy(image, at);
  return image;
}

/**
 * Writes a file of random bytes, down to the disk: what is still to be written would take processor time from what is
 * measured next. A piece at a time: garbage of an image's size would, too.
 */
export function writeRandomImage(file: string, bytes: number): void {
  const fd = openSync(file, 'w');
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  for (let at = 0; at < bytes; at += PIECE_BYTES) {
    randomFillSync(piece);
    writeSync(fd, piece, 0, Math.min(PIECE_BYTES, bytes - at));
  }
  fsyncSync(fd);
  closeSync(fd);
}
