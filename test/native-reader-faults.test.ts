// Thousands of loads over the fake transport, each with the faults that its seed chooses, judged by an oracle.
//
//   VOLLEY_SEEDS=n    how many seeds (2,000; under a sanitizer 1,000)
//   VOLLEY_SEED=k     one seed only, with everything that goes wrong in it in words

import { readdirSync } from 'node:fs';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  FAULT_LATE,
  FAULT_TWICE,
  FAULTS,
  type FailureReason,
  type Fault,
  type GuestMemory,
  native,
  type Reader,
  type ReaderOptions,
  type ReaderPath,
  SOURCE_SKIP,
} from '../src/native.js';
import { regionWithImages } from './support/fault-images.js';
import { FaultOracle, failuresOf, type Outcome } from './support/fault-oracle.js';
import { type Cancel, describe, faultRows, type Scenario, scenarioOf } from './support/fault-scenario.js';
import { CHUNK_KEY_PREFIX } from './support/items.js';

const ONE_SEED = process.env.VOLLEY_SEED === undefined ? undefined : Number(process.env.VOLLEY_SEED);
const SEEDS = Number(process.env.VOLLEY_SEEDS ?? (process.env.VOLLEY_ADDON === 'debug' ? 1000 : 2000));
const MEMORY_BYTES = 128 << 10;
// Far above what any load takes, also on a machine that is busy otherwise; far below the deadline of a read.
const LOAD_MS_MAX = 5000;

const test = suite('native reader, faults');
const world = await regionWithImages();
const guest: GuestMemory = native().GuestMemory.create(MEMORY_BYTES);

function optionsOf(scenario: Scenario, paths: ReaderPath[]): ReaderOptions {
  return {
    destination: guest,
    destinationOffset: scenario.destinationOffset,
    imageBytes: scenario.imageBytes,
    chunkBytes: scenario.image.chunkBytes,
    records: scenario.image.records.subarray(0, scenario.chunkCount * 24),
    sources: scenario.sources,
    paths,
    keyPrefix: CHUNK_KEY_PREFIX,
    destinationIsZero: scenario.destinationIsZero,
    threads: scenario.threads,
    window: scenario.window,
    readTimeoutMs: scenario.readTimeoutMs,
    retries: scenario.retries,
    verifyBeside: scenario.verifyBeside,
  };
}

function pathsOf(scenario: Scenario): ReaderPath[] {
  const fakes = Array.from(
    { length: scenario.fakePaths },
    (_, path): ReaderPath => ({
      kind: 'fake',
      region: world.mapped,
      seed: scenario.seed,
      faults: faultRows(scenario, path),
    }),
  );
  return [...fakes, { kind: 'local', region: world.mapped }];
}

async function runAndCancel(reader: Reader, cancel: Cancel | null, seed: number) {
  if (cancel === 'before') reader.cancel();
  const running = reader.run();
  if (cancel === 'next turn') await nextTurn();
  if (cancel === 'in a moment') await sleep(1 + (seed % 4));
  if (cancel) reader.cancel();
  return running;
}

async function load(scenario: Scenario): Promise<Outcome> {
  const paint = 1 + (scenario.seed % 250);
  guest.write(0, Buffer.alloc(MEMORY_BYTES, paint));
  const reader = new (native().Reader)(optionsOf(scenario, pathsOf(scenario)));
  const began = Date.now();
  const watchdog = setTimeout(() => reader.cancel(), LOAD_MS_MAX);
  const result = await runAndCancel(reader, scenario.cancel, scenario.seed);
  clearTimeout(watchdog);
  assert.ok(Date.now() - began < LOAD_MS_MAX, `the load took ${Date.now() - began} ms`);
  return { result, progress: [...reader.progress], memory: guest.read(0, MEMORY_BYTES), paint };
}

/** Fills the whole destination after the end of a load and watches it for a while. */
async function watchForLateWrites(scenario: Scenario): Promise<void> {
  const paint = Buffer.alloc(MEMORY_BYTES, 0xee);
  guest.write(0, paint);
  await (scenario.seed % 16 === 0 ? sleep(2) : nextTurn());
  assert.ok(guest.read(0, MEMORY_BYTES).equals(paint), 'nothing is written after the end');
}

/** Loads what failed over a clean path into what the first load left. */
async function mend(scenario: Scenario, first: Outcome): Promise<void> {
  const failures = failuresOf(first.result);
  const sources = scenario.sources.map((source, chunk) => {
    if (!failures.has(chunk)) return SOURCE_SKIP;
    return source < SOURCE_SKIP ? 0 : source;
  });
  guest.write(0, first.memory);
  const mended: Scenario = { ...scenario, kind: 'flaky', fakePaths: 0, readTimeoutMs: 10_000, sources };
  const reader = new (native().Reader)(optionsOf(mended, [{ kind: 'local', region: world.mapped }]));
  const result = await reader.run();
  assert.is(result.failures.length, 0, 'the next load, over a clean path, is whole');
  const memory = guest.read(0, MEMORY_BYTES);
  const whole: Outcome = { ...first, memory, result: { ...first.result, failures: new Uint32Array() } };
  new FaultOracle(scenario, whole).checkMemory();
}

async function runSeed(seed: number): Promise<{ scenario: Scenario; failed: number }> {
  const scenario = scenarioOf(seed, world.images);
  if (ONE_SEED !== undefined) console.log(describe(scenario));
  try {
    const outcome = await load(scenario);
    const oracle = new FaultOracle(scenario, outcome);
    oracle.check();
    await watchForLateWrites(scenario);
    if (oracle.failures.size > 0) await mend(scenario, outcome);
    return { scenario, failed: oracle.failures.size };
  } catch (error) {
    const how = 'VOLLEY_SEED=%d node --enable-source-maps dist/test/native-reader-faults.test.js';
    console.log(`seed ${seed} fails; replay it with: ${how.replace('%d', String(seed))}`);
    throw error;
  }
}

test('whatever a seed lets go wrong, what is told as read is right and what failed is told with its reason', async () => {
  const seeds = ONE_SEED === undefined ? Array.from({ length: SEEDS }, (_, i) => i) : [ONE_SEED];
  const kinds: Record<string, number> = {};
  for (const seed of seeds) {
    const { scenario, failed } = await runSeed(seed);
    const kind = `${scenario.kind}, ${failed > 0 ? 'with failures' : 'whole'}`;
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  if (seeds.length < 100) return;
  // A generator that no longer generates would pass everything.
  for (const kind of ['flaky', 'breaking', 'silent', 'canceled']) {
    assert.ok(kinds[`${kind}, with failures`]! > 0 && kinds[`${kind}, whole`]! > 0, JSON.stringify(kinds));
  }
});

const EXPECTED: Record<Fault, FailureReason | null> = {
  none: null,
  missing: 'missing',
  length: 'length',
  bounds: 'bounds',
  reused: 'checksum',
  torn: 'checksum',
  never: 'timeout',
  connection: 'connection',
  protocol: 'protocol',
};

/** One load of an image's first chunks; `steps` befall chunk 0. Threads, window and so on are plain. */
function loadWithFaults(steps: number[], retries: number, readTimeoutMs = 10_000, verifyBeside = false) {
  const image = world.images[1]!;
  const row = Buffer.alloc(24);
  image.records.copy(row, 0, 0, 16);
  row.set(steps, 16);
  const chunkCount = 8;
  return new (native().Reader)({
    destination: guest,
    destinationOffset: 0,
    imageBytes: chunkCount * image.chunkBytes,
    chunkBytes: image.chunkBytes,
    records: image.records.subarray(0, chunkCount * 24),
    sources: new Uint16Array(chunkCount),
    paths: [{ kind: 'fake', region: world.mapped, seed: 1, faults: row }],
    keyPrefix: CHUNK_KEY_PREFIX,
    threads: 1,
    window: chunkCount,
    readTimeoutMs,
    retries,
    verifyBeside,
  }).run();
}

for (const [fault, reason] of Object.entries(EXPECTED) as [Fault, FailureReason | null][]) {
  const told = reason ? `is told as ${reason}` : 'gives a whole chunk';
  test(`a read with the fault "${fault}", early, late or completed twice, ${told}`, async () => {
    const timeoutMs = fault === 'never' ? 20 : undefined;
    for (const flags of [0, FAULT_LATE, FAULT_TWICE, FAULT_LATE | FAULT_TWICE]) {
      for (const verifyBeside of [false, true]) {
        const result = await loadWithFaults([FAULTS.indexOf(fault) | flags], 0, timeoutMs, verifyBeside);
        assert.is(failuresOf(result).get(0) ?? null, reason);
      }
    }
  });
}

test('a torn chunk is read again and the image is whole', async () => {
  const torn = FAULTS.indexOf('torn') | FAULT_TWICE;
  for (const verifyBeside of [false, true]) {
    const result = await loadWithFaults([torn, torn], 2, undefined, verifyBeside);
    assert.is(result.failures.length, 0);
    assert.is(result.paths[0]!.retries, 2);
    assert.is(result.paths[0]!.checksumFailures, 2);
  }
});

test('when the way breaks, reads that can no longer complete are told at once and not at their deadline', async () => {
  const image = world.images[1]!;
  const rows = [FAULTS.indexOf('never'), FAULTS.indexOf('connection')].map((fault, chunk) =>
    Buffer.concat([
      image.records.subarray(chunk * 24, chunk * 24 + 16),
      Buffer.from([fault]),
      Buffer.alloc(7),
    ]),
  );
  const began = Date.now();
  const result = await new (native().Reader)({
    destination: guest,
    destinationOffset: 0,
    imageBytes: 2 * image.chunkBytes,
    chunkBytes: image.chunkBytes,
    records: image.records.subarray(0, 48),
    sources: new Uint16Array(2),
    paths: [{ kind: 'fake', region: world.mapped, seed: 1, faults: Buffer.concat(rows) }],
    keyPrefix: CHUNK_KEY_PREFIX,
    threads: 1,
    readTimeoutMs: 60_000,
  }).run();
  assert.ok(Date.now() - began < LOAD_MS_MAX);
  assert.equal([...failuresOf(result).values()], ['connection', 'connection']);
});

test('scripts that tell no known fault are refused', async () => {
  assert.throws(() => loadWithFaults([FAULTS.length], 0), /faults/);
});

test('a thousand failing loads leave no descriptor and no thread behind', async () => {
  const held = () => [readdirSync('/proc/self/fd').length, readdirSync('/proc/self/task').length];
  const failing = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const broken = i % 20 === 0 ? 'never' : 'connection';
      const timeoutMs = broken === 'never' ? 2 : undefined;
      const result = await loadWithFaults([FAULTS.indexOf(broken)], 0, timeoutMs, i % 2 === 0);
      assert.ok(result.failures.length > 0);
    }
  };
  await failing(10);
  const before = held();
  await failing(1000);
  assert.equal(held(), before);
});

test.after(() => {
  guest.close();
  world.close();
});

test.run();
