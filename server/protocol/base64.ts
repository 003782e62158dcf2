const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const PAD = '='.charCodeAt(0);
/** By byte: its 6 bits (0 for padding), or NONE. */
const NONE = 0x80;
const BITS = new Uint8Array(256).fill(NONE);
for (let i = 0; i < ALPHABET.length; i++) BITS[ALPHABET.charCodeAt(i)] = i;
BITS[PAD] = 0;

/**
 * Decodes the base64 text `bytes[from, to)` to the begin of `out`, which has room for three bytes per four of it. As
 * memcached does, it skips what is no base64 and ends behind the first padded group. Returns how many bytes came of it:
 * 0 when it is no whole number of groups or padded too much.
 */
export function decodeBase64(bytes: Uint8Array, from: number, to: number, out: Uint8Array): number {
  let digits = 0;
  for (let i = from; i < to; i++) if (BITS[bytes[i]!] !== NONE) digits++;
  if (digits % 4 !== 0) return 0;
  let at = 0;
  let group = 0;
  let inGroup = 0;
  let pads = 0;
  for (let i = from; i < to; i++) {
    const bits = BITS[bytes[i]!]!;
    if (bits === NONE) continue;
    if (bytes[i] === PAD) pads++;
    group = (group << 6) | bits;
    inGroup++;
    if (inGroup < 4) continue;
    if (pads > 2) return 0;
    out[at++] = (group >>> 16) & 0xff;
    if (pads < 2) out[at++] = (group >>> 8) & 0xff;
    if (pads < 1) out[at++] = group & 0xff;
    if (pads > 0) break;
    group = 0;
    inGroup = 0;
  }
  return at;
}
