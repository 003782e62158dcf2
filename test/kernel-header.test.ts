import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BzImage } from '../hypervisor-shim/bzimage.js';
import { ElfImage } from '../hypervisor-shim/elf-image.js';
import { parseKernelHeader, parseRawKernel } from '../hypervisor-shim/index.js';
import { encodeFields } from '../hypervisor-shim/kernel-fields.js';
import { encodeKernelImage } from '../hypervisor-shim/kernel-image.js';
import { isVolleyError } from '../src/errors.js';
import { ROOT } from '../src/root.js';
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
    ['a later version', (image) => image.writeUInt32LE(3, 8)],
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

const RELOCATIONS = {
  words64: Uint32Array.of(0, 8),
  inverse32: Uint32Array.of(16),
  words32: Uint32Array.of(20, 24, 28),
};

function relocatableKernel(): Buffer {
  return encodeKernelImage(BZIMAGE.subarray(0, 2048), ElfImage.parse(ELF), ELF, RELOCATIONS);
}

test('a kernel with relocations is version 2, one without is version 1, as before there were any', () => {
  const image = relocatableKernel();
  assert.is(image.readUInt32LE(8), 2);
  assert.is(storedKernel().readUInt32LE(8), 1);
  const { relocations, loadAddress, base } = parseKernelHeader(image.subarray(0, 196_608), image.length);
  assert.equal(relocations, { offset: 4096 + 2048, count64: 2, countInverse32: 1, count32: 3 });
  assert.is(image.readUInt32LE(relocations!.offset + 20), 28);
  assert.is(base - loadAddress, 65_536);
});

test('relocations that leave no room for themselves below the kernel are left out', () => {
  const relocations = { ...RELOCATIONS, words32: new Uint32Array(4_000_000) };
  const image = encodeKernelImage(BZIMAGE.subarray(0, 2048), ElfImage.parse(ELF), ELF, relocations);
  assert.ok(image.equals(storedKernel()));
});

test('every lie in the fields of version 2 is refused', () => {
  const lies: [string, (image: Buffer) => void][] = [
    ['more fields than there is room for', (image) => image.writeUInt32LE(4096 - 63, 56)],
    ['half a field', (image) => image.writeUInt32LE(12, 56)],
    ['a field that is longer than all', (image) => image.writeUInt32LE(0xfffffff0, 68)],
    ['relocations cut off', (image) => image.writeUInt32LE(15, 68)],
    ['the same field twice', (image) => image.copyWithin(88, 64, 88).writeUInt32LE(48, 56)],
    ['a table in the fixed header', (image) => image.writeUInt32LE(64, 72)],
    ['a table at an odd place', (image) => image.writeUInt32LE(6146, 72)],
    ['a table behind the header', (image) => image.writeUInt32LE(65_536, 72)],
    ['64-bit places without end', (image) => image.writeUInt32LE(0xffffffff, 76)],
    ['inverse places without end', (image) => image.writeUInt32LE(0x40000000, 80)],
    ['32-bit places beyond the header', (image) => image.writeUInt32LE(16_000, 84)],
    ['a header as long as no kernel needs', (image) => image.writeUInt32LE(32 << 20, 12)],
  ];
  for (const [what, lie] of lies) {
    const image = relocatableKernel();
    lie(image);
    const found = outcome(() => parseKernelHeader(image.subarray(0, 65_536), image.length));
    assert.is(found, 'ERR_VOLLEY_KERNEL', what);
  }
});

test('a field of a later release is skipped, unless it says that it must be understood', () => {
  for (const isRequired of [false, true]) {
    const image = relocatableKernel();
    const later = encodeFields([{ type: 77, isRequired, payload: Buffer.from('of tomorrow') }]);
    later.copy(image, 64 + 24);
    image.writeUInt32LE(24 + later.length, 56);
    const read = () => parseKernelHeader(image.subarray(0, 65_536), image.length);
    if (isRequired) assert.throws(read, /needs a newer Volley/);
    else assert.is(read().relocations?.count32, 3);
  }
});

test('a kernel that Volley 0.1.0 stored is read as it always was', () => {
  const image = readFileSync(join(ROOT, 'test', 'fixtures', '0.1.0', 'kernel-image.bin'));
  const { setup, bzImage, ...kernel } = parseKernelHeader(image.subarray(0, 196_608), image.length);
  const place = { loadAddress: 0xff0000, base: 0x1000000, entry: 0x1000040, memoryBytes: 0x5000 };
  assert.equal(kernel, { ...place, relocations: null });
  assert.is(setup.length, 2048);
  assert.is(bzImage.cmdlineBytesMax, 2047);
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
  const stored = relocatableKernel();
  for (let round = 0; round < 20_000; round++) {
    const elf = Buffer.from(ELF.subarray(0, 64 + 2 * 56));
    const bzImage = Buffer.from(BZIMAGE.subarray(0, 2048));
    const header = Buffer.from(stored.subarray(0, 96));
    for (const [bytes, limit] of [
      [elf, elf.length],
      [bzImage.subarray(0x1f1), 0x77],
      [header, 96],
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
    outcome(() => parseKernelHeader(Buffer.concat([header, stored.subarray(96, 65_536)]), stored.length));
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
