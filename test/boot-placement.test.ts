import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseRawKernel } from '../hypervisor-shim/index.js';
import type { BootableKernel } from '../hypervisor-shim/kernel-image.js';
import { MemoryLayout } from '../hypervisor-shim/memory-layout.js';
import { isStillRight, place } from '../hypervisor-shim/placement.js';
import { isVolleyError } from '../src/errors.js';
import { tinyBzImage } from './support/tiny-kernel.js';

const test = suite('finding room for kernel and initrd in guest memory');

const MIB = 1 << 20;
const GIB = 2 ** 30;
const KERNEL_BYTES = 45 * MIB;

const MONITOR_TEXT = `FlatView #0
 AS "I/O", root: io
 Root memory region: io
  0000000000000000-0000000000000007 (prio 0, i/o): dma-chan

FlatView #1
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
  0000000000000000-00000000000bffff (prio 0, ram): ram0
  00000000000c0000-00000000000dffff (prio 1, rom): pc.rom
  00000000000e0000-00000000000fffff (prio 0, rom): pc.bios @0000000000020000
  0000000000100000-000000007fffffff (prio 0, ram): ram0 @0000000000100000 KVM
  00000000fec00000-00000000fec00fff (prio 0, i/o): ioapic
  0000000100000000-000000013b7fffff (prio 0, ram): ram0 @0000000080000000

FlatView #2
 AS "cpu-smm-0", root: memory
  0000000000000000-00000000ffffffff (prio 0, ram): ram0
`;

function kernel(changes: Partial<BootableKernel> = {}): BootableKernel {
  const parsed = parseRawKernel(tinyBzImage(Buffer.alloc(1000)), 3840);
  return { ...parsed, base: 16 * MIB, loadAddress: 16 * MIB - 65_536, memoryBytes: KERNEL_BYTES, ...changes };
}

function splitLayout(lowBytes: number, highBytes: number): MemoryLayout {
  const ranges = [{ address: 0, bytes: lowBytes, offset: 0 }];
  if (highBytes > 0) ranges.push({ address: 4 * GIB, bytes: highBytes, offset: lowBytes });
  return new MemoryLayout(ranges);
}

function codeAndText(work: () => unknown): string {
  try {
    work();
    return 'no error';
  } catch (error) {
    if (!isVolleyError(error)) throw error;
    return `${error.code} ${error.message}`;
  }
}

test("the RAM split is read from what QEMU's monitor prints", () => {
  const layout = MemoryLayout.parse(MONITOR_TEXT, 'ram0', 3000 * MIB);
  assert.equal(layout.ranges, [
    { address: 0, bytes: 0xc0000, offset: 0 },
    { address: 0x100000, bytes: 0x7ff00000, offset: 0x100000 },
    { address: 4 * GIB, bytes: 3000 * MIB - 2 * GIB, offset: 2 * GIB },
  ]);
  assert.is(layout.offsetOf(4 * GIB + 4096, 4096), 2 * GIB + 4096);
});

test('addresses that are not RAM, and ranges that run past RAM, are refused', () => {
  const layout = MemoryLayout.parse(MONITOR_TEXT, 'ram0', 3000 * MIB);
  for (const [address, bytes] of [
    [0xc0000, 1],
    [2 * GIB, 1],
    [2 * GIB - 4096, 8192],
    [16 * GIB, 1],
  ] as const) {
    assert.match(
      codeAndText(() => layout.offsetOf(address, bytes)),
      /^ERR_VOLLEY_MEMORY /,
    );
  }
});

test('a memory map that makes no sense is an error and no layout', () => {
  const texts = [
    ['', 'no flat view'],
    ['FlatView #0\n AS "I/O", root: io\n', 'no flat view'],
    [MONITOR_TEXT.replaceAll('ram0', 'pc.ram'), 'does not show'],
    [MONITOR_TEXT.replace('@0000000080000000', '@00000000ffff0000'), 'outside'],
    [MONITOR_TEXT.replace('000000013b7fffff', 'ffffffffffffffff'), 'outside'],
    [MONITOR_TEXT.replace('000000007fffffff', '0000000000000000'), 'outside'],
  ] as const;
  for (const [text, words] of texts) {
    const found = codeAndText(() => MemoryLayout.parse(text, 'ram0', 3000 * MIB));
    assert.match(found, /^ERR_VOLLEY_QEMU /);
    assert.match(found, words);
  }
});

test('the initrd lies below the pages that firmware uses, whole and clear of the kernel', () => {
  const initrdBytes = 65 * MIB + 123;
  const { kernelOffset, initrdAddress, initrdOffset } = place(
    kernel(),
    KERNEL_BYTES,
    initrdBytes,
    splitLayout(512 * MIB, 0),
  );
  assert.is(kernelOffset, 16 * MIB - 65_536);
  assert.is(initrdOffset, initrdAddress);
  assert.is(initrdAddress % 4096, 0);
  assert.ok(initrdAddress + initrdBytes <= 480 * MIB);
  assert.ok(initrdAddress >= 61 * MIB);
});

test('an initrd is not put above what the kernel says it can reach', () => {
  const { initrdAddress } = place(kernel(), KERNEL_BYTES, 10 * MIB, splitLayout(2.7 * GIB, 0));
  assert.ok(initrdAddress + 10 * MIB <= 2 * GIB);
});

test('an initrd that does not fit below 4 GiB goes above', () => {
  const layout = splitLayout(2 * GIB, 4 * GIB);
  const { initrdAddress, initrdOffset } = place(kernel(), KERNEL_BYTES, 2.5 * GIB, layout);
  assert.is(initrdAddress, 8 * GIB - 2.5 * GIB);
  assert.is(initrdOffset, 6 * GIB - 2.5 * GIB);
});

test('too little memory is an error that says how much is needed', () => {
  const cases: [number, number, number][] = [
    // guest memory, initrd, least that is needed
    [40, 1, 94],
    [93, 1, 94],
    [150, 65, 158],
  ];
  for (const [memory, initrd, least] of cases) {
    const found = codeAndText(() =>
      place(kernel(), KERNEL_BYTES, initrd * MIB, splitLayout(memory * MIB, 0)),
    );
    assert.match(found, /^ERR_VOLLEY_MEMORY .*--memory \d+M/);
    if (memory > 80) assert.match(found, `at least ${least}M`);
  }
  const fits = codeAndText(() => place(kernel(), KERNEL_BYTES, MIB, splitLayout(94 * MIB, 0)));
  assert.is(fits, 'no error');
});

test('a kernel that may lie anywhere lies where neither initrd nor firmware does, from one end to the other', () => {
  const initrdBytes = 65 * MIB + 123;
  const layout = splitLayout(512 * MIB, 0);
  const places: number[] = [];
  const placed = (draw: (count: number) => number, limit = Number.POSITIVE_INFINITY) =>
    place(kernel(), KERNEL_BYTES, initrdBytes, layout, { draw, limit });
  for (const draw of [() => 0, (count: number) => count >> 1, (count: number) => count - 1]) {
    const placement = placed(draw);
    assert.is(placement.kernelOffset, placement.kernelAddress - 65_536);
    assert.is(placement.kernelAddress % (2 * MIB), 0);
    assert.ok(placement.kernelAddress + KERNEL_BYTES <= placement.initrdAddress);
    assert.ok(isStillRight(placement, kernel(), KERNEL_BYTES, initrdBytes, layout));
    assert.not(
      isStillRight(placement, kernel(), KERNEL_BYTES, initrdBytes, splitLayout(90 * MIB, 422 * MIB)),
    );
    assert.not(isStillRight(placement, kernel(), KERNEL_BYTES, initrdBytes, splitLayout(440 * MIB, 0)));
    places.push(placement.kernelAddress);
  }
  assert.is(places[0], 16 * MIB);
  assert.ok(places[2]! + KERNEL_BYTES + 2 * MIB > placed(() => 0).initrdAddress, 'nothing is left unused');
  assert.ok(placed((count) => count - 1, 200 * MIB).kernelAddress <= 155 * MIB);
  assert.is(placed((count) => count - 1, 10 * MIB).kernelAddress, 16 * MIB);
});

test('what the kernel needs before it knows its memory lies in memory, too, at a random place', () => {
  const bzImage = { ...kernel().bzImage, initBytes: 100 * MIB } as BootableKernel['bzImage'];
  const layout = splitLayout(512 * MIB, 0);
  const random = { draw: (count: number) => count - 1, limit: Number.POSITIVE_INFINITY };
  const { kernelAddress } = place(kernel({ bzImage }), KERNEL_BYTES, 0, layout, random);
  assert.is(kernelAddress, 380 * MIB);
});

test('without an initrd none is placed', () => {
  const { initrdAddress, initrdOffset } = place(kernel(), KERNEL_BYTES, 0, splitLayout(512 * MIB, 0));
  assert.equal([initrdAddress, initrdOffset], [0, 0]);
});

test('a kernel that cannot take an initrd above 4 GiB gets none there', () => {
  const low = tinyBzImage(Buffer.alloc(1000));
  low.writeUInt16LE(1, 0x236);
  const { bzImage } = parseRawKernel(low, low.length);
  const layout = splitLayout(2 * GIB, 4 * GIB);
  const found = codeAndText(() => place(kernel({ bzImage }), KERNEL_BYTES, 2.5 * GIB, layout));
  assert.match(found, /^ERR_VOLLEY_MEMORY /);
});

test.run();
