import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FAULTS, type Fault, native, type ReaderPath } from '../src/native.js';
import { failuresOf, type Image, localRegionWith, makeImage, planOf } from './support/reader-plans.js';

/** Far more than may be with the verifier at once. */
const CHUNKS = 1500;
const test = suite('native reader that verifies beside');

/** A row of FakePath.faults for one chunk of an image, whose attempts meet these. */
function rowOf(image: Image, chunk: number, ...faults: Fault[]): Buffer {
  const row = Buffer.alloc(24);
  image.records.copy(row, 0, chunk * 24, chunk * 24 + 16);
  faults.forEach((fault, attempt) => {
    row[16 + attempt] = FAULTS.indexOf(fault);
  });
  return row;
}

/** Loads an image with the faults of some rows, by one thread and its verifier. */
async function loadOf(image: Image, rows: Buffer[], readTimeoutMs: number) {
  const node = await localRegionWith(image);
  const guest = native().GuestMemory.create(image.bytes.length);
  const path: ReaderPath = { kind: 'fake', region: node.mapped, seed: 1, faults: Buffer.concat(rows) };
  const plan = planOf(image, guest, [path]);
  const options = { ...plan, threads: 1, window: 256, retries: 2, readTimeoutMs, verifyBeside: true };
  const began = Date.now();
  const result = await new (native().Reader)(options).run();
  const ms = Date.now() - began;
  const memory = guest.read(0, image.bytes.length);
  guest.close();
  node.close();
  return { result, memory, ms };
}

test('chunks that land faster than they are verified are verified all the same, and read again where they are wrong', async () => {
  const image = makeImage(CHUNKS);
  const torn = image.chunks.map((_, chunk) => chunk).filter((chunk) => chunk % 7 === 0);
  const rows = torn.map((chunk) => rowOf(image, chunk, 'torn', chunk % 2 === 0 ? 'torn' : 'none'));
  const { result, memory } = await loadOf(image, rows, 10_000);
  assert.equal(failuresOf(result), {});
  assert.ok(memory.equals(image.bytes));
  const wrong = torn.length + torn.filter((chunk) => chunk % 2 === 0).length;
  const { chunks, retries, checksumFailures, verifyNs } = result.paths[0]!;
  assert.equal([chunks, retries, checksumFailures], [CHUNKS, wrong, wrong]);
  assert.ok(verifyNs > 0);
});

test('a chunk that proves wrong is read again at once, also while the other reads are silent', async () => {
  const image = makeImage(2);
  const rows = [rowOf(image, 0, 'torn'), rowOf(image, 1, 'never')];
  const { result, memory } = await loadOf(image, rows, 300);
  assert.equal(failuresOf(result), { 1: 'timeout' });
  assert.ok(memory.subarray(0, image.chunks[0]!.length).equals(image.chunks[0]!));
});

test('the last verdict ends the load, not a deadline', async () => {
  const image = makeImage(60);
  const { result, ms } = await loadOf(image, [], 60_000);
  assert.equal(failuresOf(result), {});
  assert.ok(ms < 5000, `the load took ${ms} ms`);
});

test.run();
