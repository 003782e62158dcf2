import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BoundedBytes } from '../hypervisor-shim/initrd/bounded-bytes.js';
import { InitrdStream } from '../hypervisor-shim/initrd/initrd-stream.js';
import {
  type InitrdInspection,
  inspectInitrd,
  inspectInitrdFile,
  NO_INITRD,
} from '../hypervisor-shim/initrd/inspect.js';
import { cpioArchive } from './support/cpio.js';
import { canPack, pack } from './support/packers.js';

const test = suite('seeing what Linux would refuse of an initrd');

const ARCHIVE = cpioArchive([
  { name: 'etc', mode: 0o40755 },
  { name: 'etc/odd', data: randomBytes(301) },
  { name: 'noise', data: randomBytes(400_000) },
  { name: 'text', data: Buffer.from('the same again and again\n'.repeat(40_000)) },
]);
const SMALL = cpioArchive([{ name: 'kernel', mode: 0o40755 }]);
const HALF = ARCHIVE.length >> 1;

function inspect(bytes: Buffer, isInitrd = false): Promise<InitrdInspection> {
  return inspectInitrd(BoundedBytes.ofPrefix(bytes, true), { isInitrd, name: 'some.img' });
}

async function assertGood(what: string, bytes: Buffer, parts: string[]): Promise<void> {
  const found = await inspect(bytes);
  assert.equal(found.warnings, [], what);
  assert.equal(found.parts, parts, what);
}

async function assertWarns(what: string, bytes: Buffer, words: RegExp): Promise<void> {
  const { warnings } = await inspect(bytes);
  assert.is(warnings.length, 1, `${what}: ${warnings.join('; ')}`);
  assert.match(warnings[0]!, words, what);
  assert.match(warnings[0]!, /^Linux will not unpack this initrd: .*; (make|pack|fill)/, what);
  assert.not.match(warnings[0]!, '\n');
}

test('what Linux unpacks is recognised and not warned of', async () => {
  await assertGood('plain', ARCHIVE, ['newc']);
  await assertGood('gzip', gzipSync(ARCHIVE), ['gzip']);
  for (const [kind, part] of [
    ['gzip', 'gzip'],
    ['bzip2', 'bzip2'],
    ['lzma', 'lzma'],
    ['xz --check=crc32', 'xz'],
    ['xz --check=none', 'xz'],
    ['xz --check=crc32 -T2 --block-size=65536', 'xz'],
    ['lzop', 'lzo'],
    ['lz4 -l', 'lz4-legacy'],
    ['zstd', 'zstd'],
    ['zstd -19 -T2 --check', 'zstd'],
    ['zstd --long=27', 'zstd'],
  ] as const) {
    if (canPack(kind)) await assertGood(kind, pack(kind, ARCHIVE), [part]);
  }
});

test('archives behind each other are fine with zeros between them, whatever packs the next', async () => {
  const zeros = (end: number) => Buffer.alloc(-end & 511);
  const early = Buffer.concat([SMALL, zeros(SMALL.length)]);
  await assertGood('plain, plain', Buffer.concat([early, ARCHIVE]), ['newc', 'newc']);
  await assertGood('without zeros', Buffer.concat([SMALL, SMALL, gzipSync(ARCHIVE)]), [
    'newc',
    'newc',
    'gzip',
  ]);
  for (const kind of ['gzip', 'xz --check=crc32', 'zstd', 'lz4 -l', 'bzip2']) {
    const packed = pack(kind, ARCHIVE);
    const part = kind === 'lz4 -l' ? 'lz4-legacy' : kind.split(' ')[0]!;
    await assertGood(`plain, ${kind}`, Buffer.concat([early, packed, Buffer.alloc(4096)]), ['newc', part]);
    const twice = Buffer.concat([packed, pack(kind, SMALL)]);
    const parts = kind === 'lz4 -l' ? [part] : [part, part];
    await assertGood(`${kind} twice`, twice, parts);
  }
  const frames = Buffer.concat([pack('zstd', SMALL), Buffer.alloc(3), pack('zstd', ARCHIVE)]);
  await assertGood('zeros between frames', frames, ['zstd', 'zstd']);
});

test('formats that Linux does not know are warned of', async () => {
  const random = cpioArchive([{ name: 'noise', data: randomBytes(300_000) }]);
  for (const archive of [ARCHIVE, SMALL, random]) {
    for (const kind of ['lz4', 'lz4 -9 -BD', 'lz4 -B4 --no-frame-crc']) {
      await assertWarns(kind, pack(kind, archive), /LZ4 frames; pack it with lz4 -l/);
    }
  }
  const sized = pack('lz4 --content-size', ARCHIVE);
  await assertWarns('lz4 --content-size', sized, /LZ4 frames/);
  await assertWarns('xz as it comes', pack('xz', ARCHIVE), /crc64; pack it with xz --check=crc32/);
  await assertWarns('xz sha256', pack('xz --check=sha256', ARCHIVE), /sha256/);
  await assertWarns('pzstd', pack('pzstd -p 2 -q', ARCHIVE), /pzstd/);
  await assertWarns('zstd --long=28', pack('zstd --long=28', ARCHIVE), /window of 268\.4 MB/);
  await assertWarns('zstd --long=31', pack('zstd --ultra -3 --long=31', ARCHIVE), /window/);
  for (const format of ['odc', 'crc'] as const) {
    const archive = cpioArchive([{ name: 'x', data: randomBytes(1000) }], format);
    await assertWarns(format, archive, new RegExp(`cpio's ${format} format.*-H newc`));
    await assertWarns(`${format}, gzip`, gzipSync(archive), new RegExp(`cpio's ${format} format`));
    if (format === 'crc') await assertWarns('crc, zstd', pack('zstd', archive), /cpio's crc format/);
  }
});

test('an archive that goes on in a second packed member is warned of', async () => {
  for (const kind of ['gzip', 'xz --check=crc32', 'zstd', 'bzip2']) {
    const halves = [ARCHIVE.subarray(0, HALF), ARCHIVE.subarray(HALF)].map((half) => pack(kind, half));
    const words = new RegExp(`goes on in another ${kind.split(' ')[0]} member, at byte ${halves[0]!.length}`);
    await assertWarns(kind, Buffer.concat(halves), words);
  }
});

test('zeros behind an archive that do not end on a multiple of four are warned of', async () => {
  for (const zeros of [1, 2, 3, 5, 510]) {
    for (const next of [ARCHIVE, gzipSync(ARCHIVE), pack('zstd', ARCHIVE)]) {
      await assertWarns(`${zeros}`, Buffer.concat([SMALL, Buffer.alloc(zeros), next]), /no multiple of 4/);
    }
  }
  // A packed part may end anywhere, a plain archive may not begin anywhere.
  const packed = pack('zstd', SMALL);
  const gap = -packed.length & 3;
  await assertGood('filled up', Buffer.concat([packed, Buffer.alloc(gap), ARCHIVE]), ['zstd', 'newc']);
  await assertWarns('beside', Buffer.concat([packed, Buffer.alloc(gap + 1), ARCHIVE]), /no multiple of 4/);
  await assertGood('at the end', Buffer.concat([ARCHIVE, Buffer.alloc(5)]), ['newc']);
});

test('of what is no initrd nothing is said, unless the user calls it one', async () => {
  const others: [string, Buffer, RegExp][] = [
    ['nothing', Buffer.alloc(0), /it is empty/],
    ['zeros', Buffer.alloc(100_000), /nothing but zeros/],
    ['noise', Buffer.concat([Buffer.from('x'), randomBytes(100_000)]), /at byte 0 there is neither/],
  ];
  for (const [what, bytes, words] of others) {
    assert.equal(await inspect(bytes), { parts: [], warnings: [] }, what);
    const { warnings } = await inspect(bytes, true);
    assert.is(warnings.length, 1, what);
    assert.match(warnings[0]!, words);
  }
  const disk = randomBytes(300_000);
  for (const kind of ['gzip', 'xz', 'zstd --long=28', 'lz4', 'pzstd -q', 'bzip2']) {
    assert.equal((await inspect(pack(kind, disk))).warnings, [], kind);
  }
});

test('a boot configuration at the end is no part of the archives', async () => {
  const config = Buffer.from('kernel.panic = 1\n\0\0\0');
  const tail = Buffer.alloc(8);
  tail.writeUInt32LE(config.length);
  await assertGood(
    'bootconfig',
    Buffer.concat([gzipSync(ARCHIVE), config, tail, Buffer.from('#BOOTCONFIG\n')]),
    ['gzip'],
  );
});

test('of a stream only its first bytes are looked at, and what lies beyond is not judged', async () => {
  const look = (bytes: Buffer) =>
    inspectInitrd(BoundedBytes.ofPrefix(bytes, false), { isInitrd: false, name: 'stdin' });
  for (const kind of ['gzip', 'xz --check=crc32', 'zstd', 'lz4 -l']) {
    assert.equal((await look(pack(kind, ARCHIVE).subarray(0, 300_000))).warnings, [], kind);
  }
  assert.equal((await look(ARCHIVE.subarray(0, 300_000))).warnings, []);
  assert.match((await look(pack('lz4', ARCHIVE).subarray(0, 300_000))).warnings.join(), 'LZ4 frames');
});

test('no damage makes it fail or take long', async () => {
  const originals = [
    ARCHIVE.subarray(0, 4000),
    gzipSync(ARCHIVE).subarray(0, 4000),
    pack('xz', SMALL),
    pack('zstd', SMALL),
    pack('lz4', SMALL),
    pack('lz4 -l', SMALL),
    Buffer.from('502a4d18ffffffff', 'hex'),
  ];
  for (const original of originals) {
    for (let round = 0; round < 30; round++) {
      const bytes = Buffer.from(original);
      for (let i = 0; i < 3; i++)
        bytes[(round * 7 + i * 13) % Math.min(bytes.length, 64)] = (round * 37 + i) & 255;
      await inspect(bytes.subarray(0, bytes.length - (round % 5)));
    }
  }
  const endless = Buffer.concat([Buffer.from('28b52ffd0058', 'hex'), Buffer.alloc(12 << 20)]);
  await inspect(endless, true);
});

test('a stream goes on as it comes, and is judged at its end', async () => {
  const packed = pack('lz4', ARCHIVE);
  const whole = Buffer.concat([packed, randomBytes(3 << 20)]);
  const stream = new InitrdStream(
    Readable.from([whole.subarray(0, 10), whole.subarray(10, 2 << 20), whole.subarray(2 << 20)]),
    {
      isInitrd: false,
      name: 'x',
    },
  );
  const parts: Buffer[] = [];
  for await (const part of stream.source) parts.push(part);
  assert.ok(Buffer.concat(parts).equals(whole));
  assert.match((await stream.inspection).warnings.join(), 'LZ4 frames');
});

test('a file is looked at where it lies, and costs a few reads when it is no initrd', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'volley-initrd-'));
  const hints = { isInitrd: false, name: 'file' };
  try {
    const path = join(folder, 'file');
    writeFileSync(path, Buffer.concat([SMALL, Buffer.alloc(1), pack('zstd', ARCHIVE)]));
    assert.match((await inspectInitrdFile(path, hints)).warnings.join(), 'no multiple of 4');
    writeFileSync(path, '');
    assert.equal(await inspectInitrdFile(path, hints), NO_INITRD);
    assert.match(
      (await inspectInitrdFile(path, { ...hints, name: 'initrd.img' })).warnings.join(),
      'it is empty',
    );
    execFileSync('truncate', ['-s', '8G', path]);
    const before = readBytes();
    assert.equal(await inspectInitrdFile(path, hints), NO_INITRD);
    assert.ok(readBytes() - before < 1 << 20);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Bytes that this process has read by system calls. */
function readBytes(): number {
  return Number(/^rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'latin1'))![1]);
}

test.run();
