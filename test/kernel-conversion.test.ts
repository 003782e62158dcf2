import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseKernelHeader, prepareKernel } from '../hypervisor-shim/index.js';
import { isVolleyError } from '../src/errors.js';
import { randomBytes } from './support/seed.js';
import { packPayload, relocationTail, tinyBzImage, tinyElf } from './support/tiny-kernel.js';

const test = suite('turning a bzImage into the form that is stored');

const TEXT = randomBytes(5000);
const DATA = randomBytes(3000);
const SEGMENTS = [
  { address: 0x1000000, bytes: TEXT },
  { address: 0x1200000, bytes: DATA, memoryBytes: 0x80000 },
];

const ELF_LOW = tinyElf([{ address: 0x100000, bytes: TEXT }]);

/** Runs `work` with a file of these bytes and removes it. */
async function withFile<T>(bytes: Buffer, work: (path: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'volley-kernel-'));
  try {
    const path = join(folder, 'vmlinuz');
    writeFileSync(path, bytes);
    return await work(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function refusal(bytes: Buffer): Promise<string> {
  return withFile(bytes, (path) =>
    prepareKernel(path).then(
      () => 'accepted',
      (error: unknown) => {
        if (!isVolleyError(error)) throw error;
        assert.not.match(error.message, '\n');
        return `${error.code} ${error.message}`;
      },
    ),
  );
}

for (const format of ['none', 'gzip', 'xz', 'lz4', 'zstd'] as const) {
  test(`a kernel with a payload packed by ${format} is stored as its segments`, async () => {
    const payload = packPayload(tinyElf(SEGMENTS, 0x1000100), format);
    const file = tinyBzImage(payload);
    const prepared = await withFile(file, (path) => prepareKernel(path));
    assert.is(prepared.kind, 'kernel');
    assert.is(prepared.payload, format);
    assert.is(prepared.note, null);
    const image = prepared.source;
    const kernel = parseKernelHeader(image, image.length);
    const headerBytes = 0x1000000 - kernel.loadAddress;
    assert.is(headerBytes % 65_536, 0);
    assert.is(kernel.base, 0x1000000);
    assert.is(kernel.entry, 0x1000100);
    assert.is(kernel.memoryBytes, 0x280000);
    assert.ok(kernel.setup.equals(file.subarray(0, 2048)), 'the setup sectors are kept');
    assert.is(image.length, headerBytes + 0x200000 + DATA.length);
    assert.ok(image.subarray(headerBytes, headerBytes + TEXT.length).equals(TEXT));
    assert.ok(image.subarray(headerBytes + 0x200000).equals(DATA));
    const gap = image.subarray(headerBytes + TEXT.length, headerBytes + 0x200000);
    assert.ok(
      gap.every((byte) => byte === 0),
      'between the segments there are zeros',
    );
  });
}

test('an unknown payload is stored as the bzImage it is, with a note', async () => {
  const file = tinyBzImage(Buffer.concat([Buffer.from('BZh9'), randomBytes(1000)]));
  const prepared = await withFile(file, (path) => prepareKernel(path));
  assert.is(prepared.kind, 'raw');
  assert.ok(prepared.source.equals(file));
  assert.match(prepared.note ?? '', 'only the guest can unpack');
});

test('a payload that is no usable vmlinux is stored as the bzImage it is, with the reason', async () => {
  const cases: [Buffer, string][] = [
    [Buffer.from('not an ELF file at all, but long enough for one, or so it seems'), 'is no ELF file'],
    [tinyElf(SEGMENTS, 0x5000000), 'entry point outside'],
    [tinyElf([{ address: 0x100000, bytes: TEXT }]), 'where firmware writes'],
    [tinyElf([SEGMENTS[0]!, { address: 0x1000800, bytes: DATA }]), 'overlapping'],
  ];
  for (const [vmlinux, reason] of cases) {
    const file = tinyBzImage(packPayload(vmlinux, 'gzip'));
    const prepared = await withFile(file, (path) => prepareKernel(path));
    assert.is(prepared.kind, 'raw', reason);
    assert.match(prepared.note ?? '', reason);
  }
});

test('a bzImage that no guest could place is refused when it is stored, not when it is booted', async () => {
  for (const payload of [
    Buffer.concat([Buffer.from('BZh9'), randomBytes(1000)]),
    packPayload(ELF_LOW, 'gzip'),
  ]) {
    const file = tinyBzImage(payload);
    file.writeBigUInt64LE(0x100000n, 0x258);
    assert.is((await withFile(file, (path) => prepareKernel(path))).kind, 'raw');
    file.writeUInt8(0, 0x234);
    assert.match(await refusal(file), /^ERR_VOLLEY_KERNEL .*where firmware writes; rebuild it relocatable/);
  }
});

test('relocations are stored with a kernel that has them; of others it is said why guests get no KASLR', async () => {
  const vmlinux = Buffer.concat([
    tinyElf(SEGMENTS),
    relocationTail(0x1000000, { words64: [8], words32: [100] }),
  ]);
  const prepared = await withFile(tinyBzImage(packPayload(vmlinux, 'zstd')), (path) => prepareKernel(path));
  assert.is(prepared.fixedAddressReason, null);
  const { relocations } = parseKernelHeader(prepared.source, prepared.source.length);
  assert.equal([relocations?.count64, relocations?.countInverse32, relocations?.count32], [1, 0, 1]);
  const plain = tinyBzImage(packPayload(tinyElf(SEGMENTS), 'gzip'));
  const fixed = await withFile(plain, (path) => prepareKernel(path));
  assert.match(fixed.fixedAddressReason ?? '', 'CONFIG_RANDOMIZE_BASE');
});

test('what is no kernel is refused, whatever it is', async () => {
  const noLongMode = tinyBzImage(randomBytes(1000));
  noLongMode.writeUInt16LE(0, 0x236);
  const old = tinyBzImage(randomBytes(1000));
  old.writeUInt16LE(0x0204, 0x206);
  const cutOff = tinyBzImage(packPayload(tinyElf(SEGMENTS), 'gzip')).subarray(0, 3000);
  const cases: [string, Buffer, string][] = [
    ['an empty file', Buffer.alloc(0), 'too short'],
    ['one byte', Buffer.from('x'), 'too short'],
    ['text', Buffer.from('hello, kernel\n'.repeat(100)), 'no HdrS'],
    ['noise', randomBytes(100_000), 'no HdrS'],
    ['a vmlinux', tinyElf(SEGMENTS), 'is an ELF file'],
    ['a 32-bit kernel', noLongMode, 'no 64-bit entry'],
    ['an old kernel', old, 'boot protocol 2.4'],
    ['half a kernel', cutOff, 'cut off'],
  ];
  for (const [what, bytes, words] of cases) {
    const text = await refusal(bytes);
    assert.match(text, /^ERR_VOLLEY_KERNEL /, what);
    assert.match(text, words, what);
  }
});

test('a damaged payload is refused instead of booting half a kernel', async () => {
  for (const format of ['gzip', 'xz', 'lz4', 'zstd'] as const) {
    const payload = packPayload(tinyElf(SEGMENTS), format);
    payload.fill(0xee, 6, 400);
    assert.match(await refusal(tinyBzImage(payload)), /^ERR_VOLLEY_KERNEL .*damaged/, format);
  }
});

test('a payload that unpacks to more or to less than it promises is refused', async () => {
  const promise = async (bytes: number) => {
    const payload = packPayload(tinyElf(SEGMENTS), 'lz4');
    payload.writeUInt32LE(bytes, payload.length - 4);
    return refusal(tinyBzImage(payload));
  };
  assert.match(await promise(4000), /^ERR_VOLLEY_KERNEL .*more than the 4000 bytes/);
  assert.match(await promise(1_000_000), /^ERR_VOLLEY_KERNEL .*damaged/);
  assert.match(await promise(0xffffffff), /^ERR_VOLLEY_KERNEL .*promises/);
});

test('a missing unpacking tool is named with the package that has it', async () => {
  const path = process.env.PATH;
  try {
    for (const [format, name] of [
      ['xz', 'xz-utils'],
      ['lz4', 'lz4'],
      ['zstd', 'zstd'],
    ] as const) {
      process.env.PATH = path;
      const file = tinyBzImage(packPayload(tinyElf(SEGMENTS), format));
      process.env.PATH = '/nowhere';
      assert.match(await refusal(file), new RegExp(`^ERR_VOLLEY_SETUP .*apt-get install ${name}$`));
    }
  } finally {
    process.env.PATH = path;
  }
});

test('a file that is not there is an error about the file', async () => {
  const error = await prepareKernel('/nowhere/vmlinuz').catch((caught: unknown) => caught);
  assert.ok(isVolleyError(error) && error.code === 'ERR_VOLLEY_FILE');
});

test.run();
