import { type FileHandle, open } from 'node:fs/promises';
import { isVolleyError, VolleyError } from '../src/errors.js';
import { pathOf } from '../src/file-path.js';
import { formatBytes } from '../src/units.js';
import { BZIMAGE_HEADER_BYTES, BzImage } from './bzimage.js';
import { ElfImage } from './elf-image.js';
import {
  encodeKernelImage,
  IMAGE_ADDRESS_MIN,
  KERNEL_HEAD_BYTES_MAX,
  parseKernelHeader,
  parseRawKernel,
} from './kernel-image.js';
import { type PayloadFormat, payloadFormat, unpackPayload } from './kernel-payload.js';
import { readRelocations } from './kernel-relocations.js';

/** More than any kernel file is. */
const FILE_BYTES_MAX = 256 << 20;

/** A kernel, ready for Cluster.upload(source, { kind }). */
export interface PreparedKernel {
  /** `kernel`: vmlinux segments behind a header. `raw`: the bzImage as it is, unpacked by the guest. */
  kind: 'kernel' | 'raw';
  source: Buffer;
  /** How the bzImage's payload is packed. */
  payload: PayloadFormat;
  /** Why the kernel is stored as it is and not as segments, or null. */
  note: string | null;
  /** Why guests have this kernel at one address (no KASLR), or null when each boot draws another. */
  fixedAddressReason: string | null;
}

/**
 * Turns a bzImage into the form that boots fastest: unpacked segments where that is possible, else the bzImage itself.
 * @param path a bzImage for x86-64 with the 64-bit boot protocol (2.12 or newer)
 * @throws VolleyError ERR_VOLLEY_FILE, ERR_VOLLEY_KERNEL when it is no such kernel, damaged, or wants a place that a
 *   guest cannot give it, ERR_VOLLEY_SETUP when the tool that unpacks it is missing, ERR_VOLLEY_TIMEOUT,
 *   ERR_VOLLEY_ABORTED
 */
export async function prepareKernel(
  path: string,
  options: { signal?: AbortSignal } = {},
): Promise<PreparedKernel> {
  const file = await readKernelFile(path);
  const bzImage = BzImage.parse(file, file.length, path);
  const end = bzImage.payloadOffset + bzImage.payloadBytes;
  const payload = file.subarray(bzImage.payloadOffset, end);
  const format = payloadFormat(payload);
  const asItIs = (why: string): PreparedKernel => {
    parseRawKernel(file, file.length, path); // What could not be booted is refused now.
    const note = `stored as bzImage: ${why}`;
    return { kind: 'raw', source: file, payload: format, note, fixedAddressReason: null };
  };
  if (format === 'unknown') return asItIs('its payload is packed in a way that only the guest can unpack');
  const vmlinux = await unpackPayload(payload, format, options.signal);
  const elf = parseElf(vmlinux);
  if (typeof elf === 'string') return asItIs(`its payload ${elf}`);
  if (elf.base < IMAGE_ADDRESS_MIN + KERNEL_HEAD_BYTES_MAX) {
    return asItIs(`its segments begin at ${formatBytes(elf.base)}, where firmware writes`);
  }
  return asSegments(file.subarray(0, bzImage.setupBytes), elf, vmlinux, format);
}

function asSegments(setup: Buffer, elf: ElfImage, vmlinux: Buffer, payload: PayloadFormat): PreparedKernel {
  const found = readRelocations(vmlinux, elf);
  const source = encodeKernelImage(setup, elf, vmlinux, typeof found === 'string' ? null : found);
  const { relocations } = parseKernelHeader(source.subarray(0, KERNEL_HEAD_BYTES_MAX), source.length);
  const lacksRoom = relocations === null ? 'its relocations do not fit below it' : null;
  const fixedAddressReason = typeof found === 'string' ? found : lacksRoom;
  return { kind: 'kernel', source, payload, note: null, fixedAddressReason };
}

/** The segments, or why there are none. */
function parseElf(vmlinux: Buffer): ElfImage | string {
  try {
    return ElfImage.parse(vmlinux);
  } catch (error) {
    if (isVolleyError(error)) return error.message;
    throw error;
  }
}

async function readKernelFile(path: string): Promise<Buffer> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(pathOf(path), 'r');
    const { size } = await handle.stat();
    // A look at the first bytes spares reading a disk image that was meant for something else.
    const head = Buffer.alloc(BZIMAGE_HEADER_BYTES);
    const { bytesRead } = await handle.read(head, 0, head.length, 0);
    BzImage.parse(head.subarray(0, bytesRead), size, path);
    if (size > FILE_BYTES_MAX) {
      throw new VolleyError(
        'ERR_VOLLEY_KERNEL',
        `${path} is ${formatBytes(size)}, which is too large for a kernel`,
      );
    }
    return await handle.readFile();
  } catch (cause) {
    if (isVolleyError(cause)) throw cause;
    const words = cause instanceof Error ? cause.message : String(cause);
    throw new VolleyError('ERR_VOLLEY_FILE', `cannot read the kernel ${path}: ${words}`, { cause });
  } finally {
    await handle?.close();
  }
}
