import { isUtf8 } from 'node:buffer';

/**
 * A path is bytes, and not all of them are UTF-8. Where it is held as a text, a byte that is part of no UTF-8 character
 * stands there as a lone surrogate, U+DC00 + byte, as in Python (PEP 383): texts and bytes lead to each other without loss.
 */
const ESCAPE = 0xdc00;
const ESCAPED = /([\u{DC80}-\u{DCFF}])/u;
const CHARACTER_BYTES_MAX = 4;

/** The text that stands for a path's bytes. */
export function textOfPath(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (isUtf8(buffer)) return buffer.toString('utf8');
  let text = '';
  for (let at = 0; at < buffer.length; ) {
    const length = characterBytes(buffer, at);
    text +=
      length === 0 ? String.fromCharCode(ESCAPE + buffer[at]!) : buffer.toString('utf8', at, at + length);
    at += length || 1;
  }
  return text;
}

/** What the file system's calls take for a path: the text itself, or bytes where it is not all UTF-8. */
export function pathOf(text: string): string | Buffer {
  if (!ESCAPED.test(text)) return text;
  const parts = text.split(ESCAPED);
  return Buffer.concat(
    parts.map((part, i) => (i % 2 === 1 ? Buffer.of(part.charCodeAt(0) - ESCAPE) : Buffer.from(part))),
  );
}

/** Whether a path, held as a text, is all UTF-8. */
export function isUtf8Path(text: string): boolean {
  return !ESCAPED.test(text);
}

/** Bytes of the UTF-8 character that begins at `at`; 0 when none does. */
function characterBytes(buffer: Buffer, at: number): number {
  for (let length = 1; length <= CHARACTER_BYTES_MAX && at + length <= buffer.length; length++) {
    if (isUtf8(buffer.subarray(at, at + length))) return length;
  }
  return 0;
}
