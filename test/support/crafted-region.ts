import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import xxhash from 'xxhash-addon';
import { ROOT } from '../../src/root.js';

const HEADER_BYTES = 4096;
const BUCKETS = 1024;
const BUCKET_BYTES = 128;
export const ARENA_OFFSET = 135168;
const ARENA_BYTES = 1_054_720;
const REGION_BYTES = 1_191_936; // the end of the arena, rounded up to 4096

export const hash64 = (bytes: Buffer): bigint => xxhash.XXHash3.hash(bytes).readBigUInt64BE();

/** A block of features as docs/protocol.md tells it. */
export function featureBlock(
  { compatible = 0n, readers = 0n, owners = 0n }: { compatible?: bigint; readers?: bigint; owners?: bigint },
  more = Buffer.alloc(0),
): Buffer {
  const block = Buffer.alloc(32 + more.length + 8);
  block.writeUInt32LE(block.length, 0);
  block.writeBigUInt64LE(compatible, 8);
  block.writeBigUInt64LE(readers, 16);
  block.writeBigUInt64LE(owners, 24);
  more.copy(block, 32);
  block.writeBigUInt64LE(hash64(block.subarray(0, -8)), block.length - 8);
  return block;
}

/** A region written byte by byte from docs/protocol.md, independently of the native code, for lies of all kinds. */
export class CraftedRegion {
  readonly bytes = Buffer.alloc(REGION_BYTES);

  constructor() {
    const header = this.bytes;
    header.write('VOLLEYRG', 0, 'latin1');
    header.writeUInt32LE(2, 8);
    header.writeUInt32LE(HEADER_BYTES, 12);
    header.writeBigUInt64LE(BigInt(REGION_BYTES), 16);
    header.writeBigUInt64LE(0x1234n, 24);
    header.writeBigUInt64LE(BigInt(HEADER_BYTES), 32);
    header.writeBigUInt64LE(BigInt(BUCKETS), 40);
    header.writeUInt32LE(BUCKET_BYTES, 48);
    header.writeUInt32LE(4, 52);
    header.writeBigUInt64LE(BigInt(ARENA_OFFSET), 56);
    header.writeBigUInt64LE(BigInt(ARENA_BYTES), 64);
    header.writeUInt32LE(ARENA_BYTES, 72);
    header.writeUInt32LE(64, 76);
    header.writeBigUInt64LE(4096n, 80);
    header.writeBigUInt64LE(BigInt(BUCKETS), 96);
    this.seal();
  }

  /** Makes the header's checksum right again. */
  seal(): this {
    this.bytes.writeBigUInt64LE(hash64(this.bytes.subarray(0, 88)), 88);
    return this;
  }

  /** Writes the block of features, and its checksum. @param more fields of a later version, behind the known ones */
  features(told: { compatible?: bigint; readers?: bigint; owners?: bigint }, more = Buffer.alloc(0)): this {
    featureBlock(told, more).copy(this.bytes, 104);
    return this;
  }

  /** Puts an entry for `key` into the next place of its first bucket, telling whatever it is told to. */
  entry(key: string, told: { address: bigint; length: number; xxh3: bigint }): void {
    const fingerprint = xxhash.XXHash128.hash(Buffer.from(key)).readBigUInt64BE(8);
    const bucket = Number((fingerprint >> 32n) & BigInt(BUCKETS - 1));
    let at = HEADER_BYTES + bucket * BUCKET_BYTES;
    const end = at + BUCKET_BYTES;
    while (at < end && this.bytes.readBigUInt64LE(at) !== 0n) at += 32;
    if (at === end) throw new Error('the crafted bucket is full: put fewer entries into it');
    this.bytes.writeBigUInt64LE(fingerprint, at);
    this.bytes.writeBigUInt64LE(told.address, at + 8);
    this.bytes.writeUInt32LE(told.length, at + 16);
    this.bytes.writeUInt16LE(2, at + 20);
    this.bytes.writeUInt16LE(2, at + 22);
    this.bytes.writeBigUInt64LE(told.xxh3, at + 24);
  }

  /** A right entry and its value, at this offset in the arena. */
  put(key: string, value: Buffer, arenaOffset: number): void {
    value.copy(this.bytes, ARENA_OFFSET + arenaOffset);
    this.entry(key, {
      address: BigInt(ARENA_OFFSET + arenaOffset),
      length: value.length,
      xxh3: hash64(value),
    });
  }
}

/** Serves region bytes on a unix socket from a process of its own; `mode` as in serve-region.py. */
export async function serveRegion(
  bytes: Buffer,
  mode = '',
): Promise<{ path: string; stop: () => Promise<void> }> {
  const stem = join(tmpdir(), `volley-test-${process.pid}-${randomBytes(4).toString('hex')}`);
  writeFileSync(`${stem}.bin`, bytes);
  const child = spawn(
    'python3',
    [join(ROOT, 'test/support/serve-region.py'), `${stem}.sock`, `${stem}.bin`, mode],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  await once(child.stdout, 'data');
  // A failed test must end all the same; the test runner then ends this process.
  child.unref();
  (child.stdout as unknown as Socket).unref();
  const stop = async () => {
    child.ref();
    child.kill('SIGKILL');
    await once(child, 'close');
    rmSync(`${stem}.sock`, { force: true });
    rmSync(`${stem}.bin`, { force: true });
  };
  return { path: `${stem}.sock`, stop };
}
