import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ElfImage } from '../hypervisor-shim/elf-image.js';
import { parseKernelHeader } from '../hypervisor-shim/index.js';
import {
  chooseKaslr,
  drawVirtualDelta,
  markSetup,
  memoryLimit,
  placesBelow,
  relocate,
  virtualAddress,
} from '../hypervisor-shim/kaslr.js';
import { encodeKernelImage } from '../hypervisor-shim/kernel-image.js';
import { readRelocations } from '../hypervisor-shim/kernel-relocations.js';
import { isVolleyError } from '../src/errors.js';
import { native } from '../src/native.js';
import { relocationTail, tinyBzImage, tinyElf } from './support/tiny-kernel.js';

const test = suite('moving a kernel to other addresses');

const BASE = 0x1000000;
const MIB = 1 << 20;
const SETUP = tinyBzImage(Buffer.alloc(1000)).subarray(0, 2048);
const TEXT = Buffer.from(Array.from({ length: 5000 }, (_, i) => i & 0xff));
const ELF = tinyElf([{ address: BASE, bytes: TEXT, memoryBytes: 3 * MIB }]);
const PLACES = { words64: [8, 4992], inverse32: [100], words32: [0, 201, 4996] };

function stored(tail = relocationTail(BASE, PLACES)): Buffer {
  const vmlinux = Buffer.concat([ELF, tail]);
  const elf = ElfImage.parse(vmlinux);
  const found = readRelocations(vmlinux, elf);
  if (typeof found === 'string') throw new Error(found);
  return encodeKernelImage(SETUP, elf, vmlinux, found);
}

const parse = (image: Buffer) => parseKernelHeader(image.subarray(0, 196_608), image.length);

test('the tables behind a vmlinux are read, with and without the one that Linux 6.15 dropped', () => {
  for (const inverse32 of [PLACES.inverse32, [], undefined]) {
    const vmlinux = Buffer.concat([ELF, relocationTail(BASE, { ...PLACES, inverse32 })]);
    const found = readRelocations(vmlinux, ElfImage.parse(vmlinux));
    if (typeof found === 'string') throw new Error(found);
    assert.equal([...found.words64], PLACES.words64);
    assert.equal([...found.inverse32], inverse32 ?? []);
    assert.equal([...found.words32], PLACES.words32);
  }
});

test('what is no relocation table, or points outside the kernel, is told and not used', () => {
  const word = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  const cases: [Buffer, string][] = [
    [Buffer.alloc(0), 'CONFIG_RANDOMIZE_BASE'],
    [Buffer.from('abc'), 'no relocation table'],
    [Buffer.from('signature of something'), 'no relocation table'],
    [word(0), 'no relocation table'],
    [Buffer.alloc(40_000), 'no relocation table'],
    [relocationTail(BASE, { words64: [4993] }), 'outside'],
    [relocationTail(BASE, { words32: [4997] }), 'outside'],
    [relocationTail(BASE - 4096, { words32: [0] }), 'outside'],
    [relocationTail(BASE, { inverse32: [0x7000_0000] }), 'outside'],
  ];
  for (const [tail, reason] of cases) {
    const vmlinux = Buffer.concat([ELF, tail]);
    const found = readRelocations(vmlinux, ElfImage.parse(vmlinux));
    assert.type(found, 'string', reason);
    assert.match(String(found), reason);
  }
});

test('a kernel in guest memory is changed at its relocations and nowhere else', () => {
  const image = stored();
  const kernel = parse(image);
  const headerBytes = kernel.base - kernel.loadAddress;
  const memory = native().GuestMemory.create(4 * MIB);
  try {
    memory.write(8192, image);
    relocate(memory, 8192, image.length, kernel, 0x2600000);
    const expected = Buffer.from(TEXT);
    for (const at of PLACES.words64) {
      expected.writeBigUInt64LE(BigInt.asUintN(64, expected.readBigUInt64LE(at) + 0x2600000n), at);
    }
    expected.writeUInt32LE((expected.readUInt32LE(100) - 0x2600000) >>> 0, 100);
    for (const at of PLACES.words32)
      expected.writeUInt32LE((expected.readUInt32LE(at) + 0x2600000) >>> 0, at);
    assert.ok(memory.read(8192 + headerBytes, TEXT.length).equals(expected));
    assert.ok(
      memory.read(8192, headerBytes).equals(image.subarray(0, headerBytes)),
      'the header is as it was',
    );
    assert.ok(
      memory.read(8192 + image.length, 4096).every((byte) => byte === 0),
      'nor is anything behind it changed',
    );
  } finally {
    memory.close();
  }
});

test('a stored relocation that points outside the kernel ends the boot and changes nothing outside', () => {
  const last = TEXT.length - 3;
  for (const distance of [last, TEXT.length, 0x7fffffff, 0xffffffff]) {
    const image = stored();
    const kernel = parse(image);
    image.writeUInt32LE(distance, kernel.relocations!.offset + 5 * 4);
    const memory = native().GuestMemory.create(4 * MIB);
    try {
      memory.write(0, image);
      assert.throws(
        () => relocate(memory, 0, image.length, kernel, 0x200000),
        (error: unknown) => isVolleyError(error) && error.code === 'ERR_VOLLEY_KERNEL',
      );
      assert.ok(memory.read(image.length, 4096).every((byte) => byte === 0));
    } finally {
      memory.close();
    }
  }
});

test('memory refuses tables and ranges that lie outside it', () => {
  const memory = native().GuestMemory.create(8192);
  try {
    const fine = { offset: 0, count: 1 };
    assert.throws(
      () => memory.relocate({ offset: 8192, count: 1 }, { offset: 0, length: 8 }, 4, 1),
      /outside/,
    );
    assert.throws(() => memory.relocate({ offset: 2, count: 1 }, { offset: 0, length: 8 }, 4, 1), /multiple/);
    assert.throws(() => memory.relocate(fine, { offset: 8000, length: 8192 }, 4, 1), /outside/);
    assert.throws(() => memory.relocate(fine, { offset: 0, length: 8 }, 5 as 4, 1), /wordBytes/);
    assert.throws(
      () => memory.relocate(fine, { offset: 0, length: 8 }, 4, '1' as unknown as number),
      /addend/,
    );
  } finally {
    memory.close();
  }
});

test('places are those where the kernel ends in time, aligned as it asks, and one at least', () => {
  const kernel = parse(stored());
  // init_size is 4 MiB, so from 16 MiB on it ends at 20.
  assert.is(placesBelow(kernel, 20 * MIB), 1);
  assert.is(placesBelow(kernel, 22 * MIB - 1), 1);
  assert.is(placesBelow(kernel, 22 * MIB), 2);
  assert.is(placesBelow(kernel, 0), 1);
  assert.is(placesBelow({ ...kernel, base: BASE + 4096 }, 512 * MIB), 1);
  assert.is(placesBelow({ ...kernel, memoryBytes: 2 ** 31 }, 2 ** 30), 1);
});

test('the virtual address stays in the gigabyte that a kernel maps itself in', () => {
  const kernel = parse(stored());
  const counts: number[] = [];
  const delta = drawVirtualDelta(kernel, (count) => {
    counts.push(count);
    return count - 1;
  });
  assert.equal(counts, [(1024 - 16 - 4) / 2 + 1]);
  assert.is(kernel.base + delta + 4 * MIB, 1 << 30);
  assert.is(virtualAddress(kernel, 0), '0xffffffff81000000');
  assert.is(virtualAddress(kernel, delta), '0xffffffffbfc00000');
});

test('who draws the address follows from how the kernel is stored and from its command line', () => {
  const kernel = parse(stored());
  const fixed = { ...kernel, relocations: null };
  assert.is(chooseKaslr('kernel', kernel, 'console=ttyS0').by, 'volley');
  assert.is(chooseKaslr('kernel', kernel, 'console=ttyS0 nokaslr quiet').by, null);
  assert.is(chooseKaslr('kernel', kernel, 'nokaslr').by, null);
  assert.is(chooseKaslr('kernel', kernel, 'x=nokaslr nokaslr2').by, 'volley');
  assert.is(chooseKaslr('kernel', fixed, '').by, null);
  assert.is(chooseKaslr('raw', fixed, '').by, 'guest');
  assert.is(chooseKaslr('raw', fixed, 'nokaslr').by, null);
});

test('the setup sectors say whether an address was drawn, whatever they said before', () => {
  const setup = Buffer.from(SETUP);
  setup.writeUInt8(0x83, 0x211);
  assert.is(markSetup(setup, false).readUInt8(0x211), 0x81);
  assert.is(markSetup(setup, true).readUInt8(0x211), 0x83);
  assert.is(markSetup(SETUP, true).readUInt8(0x211), 3);
  assert.is(SETUP.readUInt8(0x211), 1);
});

test('the end of memory is read from the command line as the kernel reads it', () => {
  assert.is(memoryLimit('console=ttyS0'), Number.POSITIVE_INFINITY);
  assert.is(memoryLimit('mem=200M'), 200 * MIB);
  assert.is(memoryLimit('mem=1G mem=0x8000000 quiet'), 128 * MIB);
  assert.is(memoryLimit('mem=0700k'), 448 * 1024);
  assert.is(memoryLimit('mem=nopentium'), Number.POSITIVE_INFINITY);
  assert.is(memoryLimit('mem=0'), Number.POSITIVE_INFINITY);
  assert.is(memoryLimit('memmap=64M$128M'), null);
  assert.is(memoryLimit('mem=200M memmap=exactmap'), null);
});

test.run();
