import { contentDigest, DIGEST_BYTES } from './digest.js';
import { VolleyError } from './errors.js';

/** A chunk's key is this and the 32 hex digits of its content's digest. */
export const CHUNK_KEY_PREFIX = 'volley:c:';

/** A manifest's key is this and the 32 hex digits of its image name's digest. */
export const MANIFEST_KEY_PREFIX = 'volley:m:';

/** The key of a record of a node list is this and the 32 hex digits of the digest of its names. */
export const NODE_LIST_KEY_PREFIX = 'volley:n:';

const NAME_BYTES_MAX = 512;
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const RULE = `a name is 1 to ${NAME_BYTES_MAX} bytes of UTF-8 without control characters and without blanks at its ends`;

/** @param digests holds the 16 bytes of the content's digest at `offset` */
export function chunkKey(digests: Buffer, offset = 0): string {
  return CHUNK_KEY_PREFIX + digests.toString('hex', offset, offset + DIGEST_BYTES);
}

/** @param name an image name that satisfies the naming rule */
export function manifestKey(name: string): string {
  return MANIFEST_KEY_PREFIX + contentDigest(Buffer.from(name, 'utf8')).toString('hex');
}

/** @param names of a node list, in order */
export function nodeListKey(names: readonly string[]): string {
  return NODE_LIST_KEY_PREFIX + contentDigest(Buffer.from(names.join(','), 'latin1')).toString('hex');
}

/** The partition (0…65535) that places a key on the ring, from the key's 128-bit digest. */
export function partitionOfDigest(digests: Uint8Array, offset = 0): number {
  return digests[offset]! | (digests[offset + 1]! << 8);
}

/** The partition of a chunk's or manifest's key. */
export function partitionOfKey(key: string): number {
  return partitionOfDigest(Buffer.from(key.slice(-2 * DIGEST_BYTES), 'hex'));
}

/** Whether the text has the form of a manifest's key. */
export function isManifestKey(key: string): boolean {
  return /^volley:m:[0-9a-f]{32}$/.test(key);
}

/** Whether the text has the form of a chunk's key. */
export function isChunkKey(key: string): boolean {
  return /^volley:c:[0-9a-f]{32}$/.test(key);
}

/** Whether the text has the form of the key of a node list's record. */
export function isNodeListKey(key: string): boolean {
  return /^volley:n:[0-9a-f]{32}$/.test(key);
}

/** What breaks the naming rule in `name`, or null. */
function nameFault(name: string): string | null {
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.length === 0) return 'it is empty';
  if (bytes.length > NAME_BYTES_MAX) return `it has ${bytes.length} bytes`;
  if (bytes.toString('utf8') !== name) return 'it is not well-formed Unicode';
  // Where a command line or a folder holds bytes that are no UTF-8, programs get U+FFFD: names that differ would be one.
  if (name.includes('\ufffd')) return 'it holds U+FFFD, which stands for bytes that are not UTF-8';
  if (CONTROL.test(name)) return 'it holds a control character';
  if (name.trim() !== name) return 'it begins or ends with a blank';
  return null;
}

/**
 * Checks an image name.
 * @throws VolleyError ERR_VOLLEY_NAME that tells the rule
 */
export function checkName(name: string): void {
  const fault = nameFault(name);
  if (fault)
    throw new VolleyError('ERR_VOLLEY_NAME', `the image name ${quote(name)} is refused: ${fault}; ${RULE}`);
}

/** What a terminal would not show: control characters, and bytes of paths that are not UTF-8 (file-path.ts). */
const UNSHOWN = /[\u0000-\u001f\u007f-\u009f]|[\u{DC80}-\u{DCFF}]/gu;

/** A text with what a terminal would not show escaped: `\\x1b`. */
export function escapeUnshown(text: string): string {
  return text.replace(UNSHOWN, (char) => `\\x${(char.charCodeAt(0) & 0xff).toString(16).padStart(2, '0')}`);
}

/** A text in double quotes that is safe to show on a terminal; its length is bounded. */
export function quote(text: string): string {
  const cut = text.length > 80 ? `${text.slice(0, 77)}…` : text;
  return `"${escapeUnshown(cut)}"`;
}
