import { hash } from 'node:crypto';
import xxhash from 'xxhash-addon';

/** Bytes of a content digest: SHA-256 cut to its first 128 bits. */
export const DIGEST_BYTES = 16;

/** The same memory as a Buffer: the XXH3 addon and crypto.hash take nothing else safely. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The first 128 bits of the SHA-256 of `bytes`. */
export function contentDigest(bytes: Uint8Array): Buffer {
  return hash('sha256', asBuffer(bytes), 'buffer').subarray(0, DIGEST_BYTES);
}

/** XXH3-64 (seed 0) of `bytes`, as 8 little-endian bytes: how it stands in regions and manifests. */
export function xxh3(bytes: Uint8Array): Buffer {
  return xxhash.XXHash3.hash(asBuffer(bytes)).swap64();
}

/** XXH3-64 (seed 0) of an ASCII text, as 16 lower-case hex digits, most significant first. */
export function xxh3Hex(ascii: string): string {
  return xxhash.XXHash3.hash(Buffer.from(ascii, 'latin1')).toString('hex');
}

/** XXH3-64 (seed 0) of an ASCII text, modulo `range` (at most 2^26). In doubles: BigInt would take ten times as long. */
export function xxh3Modulo(ascii: string, range: number): number {
  const hashed = xxhash.XXHash3.hash(Buffer.from(ascii, 'latin1'));
  const high = hashed.readUInt32BE(0) % range;
  return (high * (2 ** 32 % range) + hashed.readUInt32BE(4)) % range;
}
