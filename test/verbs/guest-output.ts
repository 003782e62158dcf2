import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';

/** What may follow the nonce: a blank, an exit code, a newline. */
const CODE = /^ (\d{1,3})\n/;
const CODE_BYTES_MAX = 5;

/**
 * Copies what a command in the guest writes, as it comes and no faster than `to` takes it, until the nonce and the
 * command's exit code after it.
 * @param nonce text that the command cannot know
 * @returns the exit code, or undefined when the stream ended or broke before it came
 * @throws what `to` says when it cannot be written, and the signal's AbortError
 */
export async function copyUntilCode(
  from: Readable,
  to: Writable,
  nonce: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  let held: Buffer = Buffer.alloc(0);
  try {
    for await (const bytes of from as AsyncIterable<Buffer>) {
      held = Buffer.concat([held, bytes]);
      const at = held.indexOf(nonce, 0, 'latin1');
      const end = at < 0 ? held.length - heldBack(held, nonce) : at;
      if (end > 0 && !to.write(held.subarray(0, end))) await once(to, 'drain', { signal });
      held = held.subarray(end);
      const code = at < 0 ? undefined : codeIn(held.subarray(nonce.length));
      if (code !== undefined) return code;
    }
  } catch (error) {
    // QEMU's end of the socket, gone in mid-read, says no more than an end of the stream does.
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
  }
  if (held.length > 0) to.write(held);
  return undefined;
}

/** How many of the last bytes may be the nonce's beginning. */
function heldBack(bytes: Buffer, nonce: string): number {
  const text = bytes.toString('latin1', Math.max(0, bytes.length - nonce.length + 1));
  let length = text.length;
  while (!nonce.startsWith(text.slice(text.length - length))) length--;
  return length;
}

function codeIn(bytes: Buffer): number | undefined {
  const match = CODE.exec(bytes.toString('latin1', 0, CODE_BYTES_MAX));
  return match ? Number(match[1]) : undefined;
}
