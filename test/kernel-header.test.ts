import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BzImage } from '../hypervisor-shim/bzimage.js';
import { ElfImage } from '../hypervisor-shim/elf-image.js';
import { parseKernelHeader, parseRawKernel } from '../hypervisor-shim/index.js';
import { encodeKernelImage } from '../hypervisor-shim/kernel-image.js';
import { isVolleyError } from '../src/errors.js';
import { tinyBzImage, tinyElf } from './support/tiny-kernel.js';

const test = suite('reading a kernel back from a cluster that may lie');

const ELF = tinyElf([
  { address: 0x1000000, bytes: Buffer.alloc(5000, 0x90) },
  { address: 0x1004000, bytes: Buffer.alloc(100, 0x91), memoryBytes: 0x10000 },
]);
const BZIMAGE = tinyBzImage(ELF);

function storedKernel(): Buffer {
  return encodeKernelImage(BZIMAGE.subarray(0, 2048), ElfImage.parse(ELF), ELF);
}

/** What became of `work`: `fine`, or the code of the VolleyError; anything else is thrown on. */
function outcome(work: () => unknown): string {
  try {
    work();
    return 'fine';
  } catch (error) {
    if (isVolleyError(error)) return error.code;
    throw error;
  }
}

test('what was encoded is read back', () => {
  const image = storedKernel();
  const kernel = parseKernelHeader(image.subarray(0, 65_536), image.length);
  assert.equal([kernel.base, kernel.entry, kernel.loadAddress], [0x1000000, 0x1000000, 0xff0000]);
  assert.is(kernel.memoryBytes, 0x14000);
  assert.is(kernel.bzImage.cmdlineBytesMax, 2047);
});

test('every lie in the header is refused', () => {
  const lies: [string, (image: Buffer) => void][] = [
    ['another magic', (image) => image.write('VOLLEYXX')],
    ['a later version', (image) => image.writeUInt32LE(2, 8)],
    ['no header bytes', (image) => image.writeUInt32LE(0, 12)],
    ['a header of half a unit', (image) => image.writeUInt32LE(32_768, 12)],
    ['a header larger than the image', (image) => image.writeUInt32LE(1 << 30, 12)],
    ['a base under firmware', (image) => image.writeBigUInt64LE(0x200000n, 16)],
    ['a base above 4 GiB', (image) => image.writeBigUInt64LE(1n << 32n, 16)],
    ['a base out of range', (image) => image.writeBigUInt64LE(~0n & 0xffffffffffffffffn, 16)],
    ['an entry before the kernel', (image) => image.writeBigUInt64LE(0xffffffn, 24)],
    ['an entry behind the kernel', (image) => image.writeBigUInt64LE(0x2000000n, 24)],
    ['another size', (image) => image.writeBigUInt64LE(1n, 32)],
    ['less memory than bytes', (image) => image.writeBigUInt64LE(10n, 40)],
    ['memory beyond 4 GiB', (image) => image.writeBigUInt64LE(1n << 40n, 40)],
    ['setup sectors outside', (image) => image.writeUInt32LE(65_000, 48)],
    ['setup sectors too long', (image) => image.writeUInt32LE(1 << 20, 52)],
    ['no setup sectors', (image) => image.writeUInt32LE(0, 52)],
    ['setup sectors of another length', (image) => image.writeUInt32LE(1024, 52)],
    ['setup sectors that are none', (image) => image.fill(0, 4096, 6144)],
  ];
  for (const [what, lie] of lies) {
    const image = storedKernel();
    lie(image);
    const found = outcome(() => parseKernelHeader(image.subarray(0, 65_536), image.length));
    assert.is(found, 'ERR_VOLLEY_KERNEL', what);
  }
});

test('images too short for a header are refused', () => {
  for (const bytes of [0, 1, 7, 56, 4095, 4096]) {
    const image = storedKernel().subarray(0, bytes);
    assert.is(
      outcome(() => parseKernelHeader(image, image.length)),
      'ERR_VOLLEY_KERNEL',
      String(bytes),
    );
    assert.is(
      outcome(() => parseRawKernel(image, image.length)),
      'ERR_VOLLEY_KERNEL',
      String(bytes),
    );
  }
});

test('a raw bzImage goes to the address that it prefers and is entered at its 64-bit entry', () => {
  const kernel = parseRawKernel(BZIMAGE, BZIMAGE.length);
  assert.is(kernel.base, 0x1000000);
  assert.is(kernel.loadAddress, 0x1000000 - 2048);
  assert.is(kernel.entry, 0x1000200);
  assert.is(kernel.memoryBytes, 0x400000);
});

test('a raw bzImage that prefers firmware memory is moved up when it can be, else refused', () => {
  const low = Buffer.from(BZIMAGE);
  low.writeBigUInt64LE(0x100000n, 0x258);
  assert.is(parseRawKernel(low, low.length).base, 0x400000);
  low.writeUInt8(0, 0x234);
  assert.is(
    outcome(() => parseRawKernel(low, low.length)),
    'ERR_VOLLEY_KERNEL',
  );
});

test('no damage to headers ever makes a parser fail in an unforeseen way', () => {
  const random = generator(20_261);
  const stored = storedKernel();
  for (let round = 0; round < 20_000; round++) {
    const elf = Buffer.from(ELF.subarray(0, 64 + 2 * 56));
    const bzImage = Buffer.from(BZIMAGE.subarray(0, 2048));
    const header = Buffer.from(stored.subarray(0, 64));
    for (const [bytes, limit] of [
      [elf, elf.length],
      [bzImage.subarray(0x1f1), 0x77],
      [header, 56],
    ] as const) {
      for (let i = 0; i <= random(4); i++) bytes[random(limit)] = random(256);
    }
    outcome(() => {
      const file = Buffer.concat([elf, ELF.subarray(elf.length)]);
      const image = ElfImage.parse(file);
      if (image.fileSpan < 1 << 20) image.layOut(file, Buffer.alloc(image.fileSpan));
    });
    outcome(() => BzImage.parse(bzImage, BZIMAGE.length, 'it'));
    outcome(() => parseRawKernel(bzImage, BZIMAGE.length));
    outcome(() => parseKernelHeader(Buffer.concat([header, stored.subarray(64, 65_536)]), stored.length));
  }
});

/** Numbers in [0, limit), the same for the same seed. */
function generator(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

test.run();
