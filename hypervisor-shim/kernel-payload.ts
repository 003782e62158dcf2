import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { VolleyError } from '../src/errors.js';
import { runUnpackTool, type UnpackTool } from './unpack-tool.js';

/** How a bzImage's payload is packed; `none` is a bare vmlinux, `unknown` only the guest itself can unpack. */
export type PayloadFormat = 'none' | 'gzip' | 'xz' | 'lz4' | 'zstd' | 'unknown';

const MAGICS: [PayloadFormat, string][] = [
  ['none', '7f454c46'],
  ['gzip', '1f8b'],
  ['xz', 'fd377a585a00'],
  ['lz4', '02214c18'], // legacy frames, as `lz4 -l` makes them
  ['zstd', '28b52ffd'],
];

const TOOLS: Record<'xz' | 'lz4' | 'zstd', UnpackTool> = {
  xz: { command: 'xz', args: ['-dc'], debianPackage: 'xz-utils' },
  lz4: { command: 'lz4', args: ['-dc'], debianPackage: 'lz4' },
  zstd: { command: 'zstd', args: ['-dc', '--long=31'], debianPackage: 'zstd' },
};

/** More than any kernel is. */
const UNPACKED_BYTES_MAX = 1 << 30;
const UNPACK_TIMEOUT_MS = 60_000;

export function payloadFormat(payload: Buffer): PayloadFormat {
  const start = payload.toString('hex', 0, 8);
  return MAGICS.find(([, magic]) => start.startsWith(magic))?.[0] ?? 'unknown';
}

/**
 * Unpacks a kernel's payload. The kernel's build puts the unpacked size (u32) behind the packed bytes; for gzip that is
 * the last field of the format itself. It bounds the output and must be met.
 * @throws VolleyError ERR_VOLLEY_KERNEL when the payload is damaged, ERR_VOLLEY_SETUP when a tool is missing,
 *   ERR_VOLLEY_TIMEOUT, ERR_VOLLEY_ABORTED
 */
export async function unpackPayload(
  payload: Buffer,
  format: Exclude<PayloadFormat, 'unknown'>,
  signal?: AbortSignal,
): Promise<Buffer> {
  if (format === 'none') return payload;
  if (payload.length < 16) throw new VolleyError('ERR_VOLLEY_KERNEL', "the kernel's payload is too short");
  const promised = payload.readUInt32LE(payload.length - 4);
  if (promised === 0 || promised > UNPACKED_BYTES_MAX) {
    throw new VolleyError('ERR_VOLLEY_KERNEL', `the kernel's payload promises ${promised} bytes`);
  }
  const limits = { outputBytesMax: promised, timeoutMs: UNPACK_TIMEOUT_MS, signal };
  const unpacked =
    format === 'gzip'
      ? await gunzipBounded(payload, promised)
      : await runUnpackTool(TOOLS[format], payload.subarray(0, -4), limits);
  if (unpacked.length !== promised) {
    const found = `${unpacked.length} bytes come out, ${promised} were promised`;
    throw new VolleyError('ERR_VOLLEY_KERNEL', `the kernel's payload is damaged: ${found}`);
  }
  return unpacked;
}

async function gunzipBounded(payload: Buffer, bytesMax: number): Promise<Buffer> {
  try {
    return await promisify(gunzip)(payload, { maxOutputLength: bytesMax });
  } catch (cause) {
    const words = cause instanceof Error ? cause.message : String(cause);
    throw new VolleyError('ERR_VOLLEY_KERNEL', `the kernel's payload is damaged (gzip: ${words})`, { cause });
  }
}
