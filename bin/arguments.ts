import { readFileSync } from 'node:fs';
import { VolleyError } from '../src/errors.js';
import { textOfPath } from '../src/file-path.js';

/** What Node puts in the place of bytes that are not UTF-8. */
const REPLACEMENT = '\ufffd';

/**
 * The command's arguments. Where one is not UTF-8 it is read from the kernel, and its bytes stand in the text as
 * src/file-path.ts has them.
 * @throws VolleyError ERR_VOLLEY_FILE where the kernel does not show them
 */
export function commandArguments(): string[] {
  const args = process.argv.slice(2);
  if (!args.some((arg) => arg.includes(REPLACEMENT))) return args;
  const raw = splitAtZeros(readCommandLine());
  return raw.slice(raw.length - args.length).map(textOfPath);
}

function readCommandLine(): Buffer {
  try {
    return readFileSync('/proc/self/cmdline');
  } catch (cause) {
    const words = 'an argument is not UTF-8, and /proc/self/cmdline, which has its bytes, cannot be read';
    throw new VolleyError('ERR_VOLLEY_FILE', words, { cause });
  }
}

/** The texts of which each ends with a zero byte. */
function splitAtZeros(bytes: Buffer): Buffer[] {
  const texts: Buffer[] = [];
  for (let at = 0, end = bytes.indexOf(0); end >= 0; at = end + 1, end = bytes.indexOf(0, at)) {
    texts.push(bytes.subarray(at, end));
  }
  return texts;
}
