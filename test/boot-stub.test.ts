import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GuestRun } from '../hypervisor-shim/guest-run.js';
import { HANDOFF_ADDRESS, Handoff, identityPageTables } from '../hypervisor-shim/handoff.js';
import { parseRawKernel } from '../hypervisor-shim/index.js';
import { machineArguments } from '../hypervisor-shim/machine.js';
import { DEFAULT_QEMU } from '../hypervisor-shim/qemu.js';
import { StageClock } from '../hypervisor-shim/stage-clock.js';
import { makeStubKernel, pathOf } from '../hypervisor-shim/stub-kernel.js';
import { isVolleyError } from '../src/errors.js';
import { type GuestMemory, native } from '../src/native.js';
import { debianKernel } from './support/tiny-kernel.js';

const test = suite('the stub that waits in the guest');

const MEMORY_BYTES = 64 << 20;
const ENTRY = 16 << 20;
const ORDER = HANDOFF_ADDRESS + 64;
const DOORBELL = HANDOFF_ADDRESS + 128;
const GREETING = 'here I am';

interface Guest {
  run: GuestRun;
  memory: GuestMemory;
  handoff: Handoff;
}

/** 64-bit code that writes a text to the serial port and halts. */
function talkingKernel(text: string): Buffer {
  const letters = [...Buffer.from(text)].flatMap((letter) => [0xb0, letter, 0xee]);
  return Buffer.from([0x66, 0xba, 0xf8, 0x03, ...letters, 0xfa, 0xf4, 0xeb, 0xfd]);
}

/** Starts a guest with the stub and a kernel that says GREETING, and waits until the stub is there. */
async function withStub(work: (guest: Guest) => Promise<void>): Promise<void> {
  const file = readFileSync(debianKernel());
  const stub = makeStubKernel(parseRawKernel(file, file.length).setup);
  const memory = native().GuestMemory.create(MEMORY_BYTES);
  const machine = { accelerator: 'tcg', memoryBytes: MEMORY_BYTES, cpus: 1 } as const;
  const args = [...machineArguments(machine, pathOf(memory)), '-kernel', pathOf(stub), '-append', 'a=b'];
  const clock = new StageClock();
  const run = await GuestRun.start({ qemu: DEFAULT_QEMU, args, clock, until: GREETING, timeoutMs: 20_000 });
  try {
    const handoff = new Handoff(memory, (address) => address);
    await until(() => handoff.state() === 'waiting');
    memory.write(ENTRY, talkingKernel(GREETING));
    await work({ run, memory, handoff });
  } finally {
    await run.stop();
    memory.close();
    stub.close();
  }
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not so in time: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test('a whole order starts the kernel in long mode and tells it where its initrd is', async () => {
  await withStub(async ({ run, memory, handoff }) => {
    handoff.write({ entry: ENTRY, initrdAddress: 0x1_2345_6000, initrdBytes: 0x2_0000_1234 });
    handoff.ring();
    assert.is(await run.outcome, 'until');
    assert.is(handoff.state(), 'started');
    const bootParams = memory.read(HANDOFF_ADDRESS + 16, 4).readUInt32LE();
    const fields = memory.read(bootParams, 4096);
    const word = (offset: number) => fields.readUInt32LE(offset);
    assert.equal([word(0x218), word(0x0c0)], [0x2345_6000, 1], 'ramdisk_image and its upper half');
    assert.equal([word(0x21c), word(0x0c4)], [0x1234, 2], 'ramdisk_size and its upper half');
    assert.is(fields.toString('latin1', 0x202, 0x206), 'HdrS', 'the setup code filled boot_params');
    assert.ok(fields.readUInt8(0x1e8) > 2, 'there is a memory map');
  });
});

test('nothing but a whole order with the right magic and version starts anything', async () => {
  await withStub(async ({ run, memory, handoff }) => {
    const good = () => handoff.write({ entry: ENTRY, initrdAddress: 0, initrdBytes: 0 });
    const spoilers: [string, () => void][] = [
      ['no order', () => memory.write(ORDER, Buffer.alloc(64))],
      ['noise', () => memory.write(ORDER, Buffer.alloc(64, 0xa5))],
      ['another magic', () => memory.write(ORDER, Buffer.from('VOLLEYHX'))],
      ['half a magic', () => memory.write(ORDER, Buffer.alloc(4))],
      ['a later version', () => memory.write(ORDER + 8, Buffer.from([2]))],
      ['no entry', () => memory.write(ORDER + 16, Buffer.alloc(8))],
      ['no page tables', () => memory.write(ORDER + 24, Buffer.alloc(8))],
      ['page tables not on a page', () => memory.write(ORDER + 24, Buffer.from([8]))],
      ['page tables above 4 GiB', () => memory.write(ORDER + 28, Buffer.from([1]))],
    ];
    for (const [what, spoil] of spoilers) {
      good();
      spoil();
      handoff.ring();
      await until(() => handoff.state() === 'refused');
      const doorbell = memory.read(DOORBELL, 8);
      assert.ok(doorbell.equals(Buffer.alloc(8)), `${what}: the doorbell is quiet again`);
      memory.write(HANDOFF_ADDRESS + 12, Buffer.from([1]));
    }
    good();
    // The stub reads each half by itself: no beginning may come before the right end, or it could see both.
    for (const text of ['\0\0\0\0EYGO', '\0\0\0\0\0\0\0\0', 'VOLLEYGX', 'VOLLXXGO', 'VOLL\0\0\0\0']) {
      memory.write(DOORBELL, Buffer.from(text, 'latin1'));
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.is(handoff.state(), 'waiting', JSON.stringify(text));
    }
    assert.is(run.log.lastLine(), '');
    handoff.ring();
    assert.is(await run.outcome, 'until', 'after all that a good order still starts it');
  });
});

test('an abort ends the machine', async () => {
  await withStub(async ({ run, handoff }) => {
    run.guestStarted();
    handoff.abort();
    const error: unknown = await run.outcome.catch((caught: unknown) => caught);
    assert.ok(isVolleyError(error) && error.code === 'ERR_VOLLEY_GUEST', String(error));
    assert.is(handoff.state(), 'aborted');
  });
});

test('a stub of another version is refused by the hook', async () => {
  await withStub(async ({ memory, handoff }) => {
    memory.write(HANDOFF_ADDRESS + 8, Buffer.from([9]));
    assert.throws(() => handoff.state(), /version 9/);
  });
});

test('the page tables map every 2 MiB below 4 GiB to itself', () => {
  const base = 0x102000;
  const tables = identityPageTables(base);
  const entry = (table: number, index: number) => Number(tables.readBigUInt64LE(table - base + index * 8));
  for (const address of [0, 0x100000, 0x1000000, 0x7fe00000, 0x80000000, 0xffe00000, 0xffffffff]) {
    const directories = entry(base, 0);
    assert.is(directories & 0xfff, 3);
    const directory = entry(directories - 3, Math.floor(address / 2 ** 30));
    assert.is(directory & 0xfff, 3);
    const page = entry(directory - 3, Math.floor(address / 2 ** 21) % 512);
    assert.is(page, Math.floor(address / 2 ** 21) * 2 ** 21 + 0x83);
  }
  assert.is(entry(base, 1), 0);
});

test.run();
