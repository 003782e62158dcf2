import { constants, gunzipSync } from 'node:zlib';
import type { BoundedBytes } from './bounded-bytes.js';
import type { InitrdFormat } from './formats.js';
import { type HeadTool, runForHead } from './head-tool.js';

/**
 * So much of a member is unpacked to see how its content begins: bzip2, whose blocks have 900 kB, begins to unpack one
 * when it is there whole.
 */
const PACKED_BYTES = 1000 * 1024;
const GZIP_BYTES = 16 * 1024;

const TOOLS: Partial<Record<InitrdFormat, HeadTool>> = {
  bzip2: { command: 'bzip2', args: ['-dc'] },
  lzma: { command: 'xz', args: ['-dc', '--format=lzma', '-T1'] },
  xz: { command: 'xz', args: ['-dc', '--format=xz', '-T1'] },
  lzo: { command: 'lzop', args: ['-dc'] },
  zstd: { command: 'zstd', args: ['-dc', '--long=31'] },
};

/** How the content of a packed member begins, or undefined when that cannot be seen (damaged, or the tool is missing). */
export async function unpackedHead(
  bytes: BoundedBytes,
  offset: number,
  format: InitrdFormat,
): Promise<Buffer | undefined> {
  if (format === 'gzip') return gunzipHead(await bytes.read(offset, GZIP_BYTES));
  if (format === 'lz4-legacy') return firstLiterals(await bytes.read(offset + 8, 64));
  if (format === 'lz4-frame') return lz4FrameHead(await bytes.read(offset, 64));
  const tool = TOOLS[format];
  if (!tool) return undefined;
  return runForHead(tool, await bytes.read(offset, PACKED_BYTES));
}

function gunzipHead(packed: Buffer): Buffer | undefined {
  try {
    return gunzipSync(packed, { finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return undefined;
  }
}

/** Behind magic, flags, block descriptor, what the flags add, and a checksum stands the first block, behind its size. */
function lz4FrameHead(frame: Buffer): Buffer | undefined {
  const flags = frame[4] ?? 0;
  const at = 7 + (flags & 8 ? 8 : 0) + (flags & 1 ? 4 : 0);
  const isStored = ((frame[at + 3] ?? 0) & 0x80) !== 0;
  return isStored ? frame.subarray(at + 4) : firstLiterals(frame.subarray(at + 4));
}

/** An LZ4 block begins with bytes that are copied as they are, for there is nothing yet to refer to. */
function firstLiterals(block: Buffer): Buffer | undefined {
  const count = (block[0] ?? 0) >> 4;
  // From 15 on more bytes of length follow, each 255 but the last.
  let at = 1;
  if (count === 15) while (block[at++] === 255);
  return count === 0 ? undefined : block.subarray(at, count === 15 ? undefined : at + count);
}
