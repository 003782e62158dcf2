import * as assert from 'uvu/assert';
import {
  FAILURE_REASONS,
  type FailureReason,
  type ReaderResult,
  SOURCE_SKIP,
  SOURCE_ZERO,
} from '../../src/native.js';
import { attemptsAt, type Scenario } from './fault-scenario.js';

export interface Outcome {
  result: ReaderResult;
  progress: bigint[];
  /** The whole destination after the run, and the byte it was filled with before. */
  memory: Buffer;
  paint: number;
}

const sum = (numbers: number[]): number => numbers.reduce((total, number) => total + number, 0);

export function failuresOf(result: ReaderResult): Map<number, FailureReason> {
  const failures = new Map<number, FailureReason>();
  for (let i = 0; i < result.failures.length; i += 2) {
    assert.not(failures.has(result.failures[i]!), `chunk ${result.failures[i]} is told once`);
    failures.set(result.failures[i]!, FAILURE_REASONS[result.failures[i + 1]!]!);
  }
  return failures;
}

/** Judges what a reader did by what its script had in store for it. Throws assertions. */
export class FaultOracle {
  readonly failures: Map<number, FailureReason>;

  constructor(
    private readonly scenario: Scenario,
    private readonly outcome: Outcome,
  ) {
    this.failures = failuresOf(outcome.result);
  }

  check(): void {
    this.checkContract();
    this.checkMemory();
    this.scenario.sources.forEach((source, chunk) => {
      if (source < this.scenario.fakePaths) this.checkFake(chunk, source);
      else this.checkClean(chunk, source);
    });
    this.outcome.result.paths.forEach((_, path) => {
      this.checkCounts(path);
    });
    this.checkProgress();
  }

  private chunksOf(path: number): number[] {
    const { sources } = this.scenario;
    return [...sources.keys()].filter((chunk) => sources[chunk] === path);
  }

  /** The endpoint tells where its user broke the contract. */
  private checkContract(): void {
    for (const { error } of this.outcome.result.paths) {
      assert.not.match(error, /contract broken/);
      if (this.scenario.kind === 'flaky') assert.is(error, '');
    }
  }

  /** Every chunk that is not told as failed is right; whatever is not a chunk to be filled is as it was. */
  checkMemory(): void {
    const { scenario, outcome } = this;
    const expected = Buffer.alloc(outcome.memory.length, outcome.paint);
    for (let chunk = 0, at = scenario.destinationOffset; chunk < scenario.chunkCount; chunk++) {
      const bytes = scenario.image.chunks[chunk]!;
      const source = scenario.sources[chunk]!;
      if (this.failures.has(chunk)) outcome.memory.copy(expected, at, at, at + bytes.length);
      else if (source === SOURCE_ZERO && !scenario.destinationIsZero) expected.fill(0, at, at + bytes.length);
      else if (source < SOURCE_SKIP) bytes.copy(expected, at);
      at += bytes.length;
    }
    if (expected.equals(outcome.memory)) return;
    const at = expected.findIndex((byte, i) => byte !== outcome.memory[i]) - scenario.destinationOffset;
    const chunk = Math.floor(at / scenario.image.chunkBytes);
    assert.unreachable(
      `byte ${at} of the image (chunk ${chunk}) is wrong and not told, or not the reader's to write`,
    );
  }

  /** A chunk over a fake path ends as its steps say, or as the way's end or the cancelling explains. */
  private checkFake(chunk: number, path: number): void {
    const { scenario } = this;
    const statuses = attemptsAt(scenario, chunk);
    const last = statuses.at(-1);
    const reason = this.failures.get(chunk);
    if (reason === undefined) {
      assert.is(last, 'none', `chunk ${chunk} can't have been read: ${statuses}`);
      return;
    }
    if (scenario.kind === 'flaky') {
      assert.is(reason, last, `chunk ${chunk} over path ${path}: ${statuses}`);
      return;
    }
    const explained = new Set<FailureReason | undefined>(statuses.filter((status) => status !== 'none'));
    for (const end of this.endsOf(path)) explained.add(end);
    if (scenario.cancel) explained.add('canceled');
    assert.ok(explained.has(reason), `chunk ${chunk} over path ${path} is ${reason}: not ${[...explained]}`);
  }

  /** What may end the whole path. */
  private endsOf(path: number): Set<FailureReason> {
    const ends = new Set<FailureReason>();
    for (const chunk of this.chunksOf(path)) {
      const last = attemptsAt(this.scenario, chunk).at(-1);
      if (last === 'connection' || last === 'protocol') ends.add(last);
    }
    // Its deadlines are so short that a busy machine alone may pass one.
    if (this.scenario.kind === 'silent') ends.add('timeout');
    return ends;
  }

  /** A chunk over the clean path, a zero chunk or one to skip fails only by being cancelled. */
  private checkClean(chunk: number, source: number): void {
    const reason = this.failures.get(chunk);
    if (reason === undefined) return;
    assert.is(reason, 'canceled', `chunk ${chunk} over ${source}`);
    assert.ok(this.scenario.cancel && source !== SOURCE_SKIP, `chunk ${chunk} over ${source}`);
  }

  private checkCounts(path: number): void {
    const { scenario } = this;
    const stats = this.outcome.result.paths[path]!;
    const chunks = this.chunksOf(path);
    const read = chunks.filter((chunk) => !this.failures.has(chunk));
    assert.is(stats.chunks, read.length, `chunks of path ${path}`);
    assert.is(
      stats.bytes,
      sum(read.map((chunk) => scenario.image.chunks[chunk]!.length)),
      `bytes of path ${path}`,
    );
    const fake = path < scenario.fakePaths;
    const attempts = fake ? chunks.map((chunk) => attemptsAt(scenario, chunk)) : [];
    const retries = sum(attempts.map((statuses) => statuses.length - 1));
    const mismatches = sum(
      attempts.map((statuses) => statuses.filter((status) => status === 'checksum').length),
    );
    if (scenario.kind === 'flaky') {
      assert.is(stats.retries, retries, `retries of path ${path}`);
      assert.is(stats.checksumFailures, mismatches, `checksum failures of path ${path}`);
    }
    assert.ok(stats.retries <= retries, `retries of path ${path}`);
    assert.ok(stats.checksumFailures <= mismatches, `checksum failures of path ${path}`);
    const told = chunks.filter((chunk) => this.failures.get(chunk) === 'checksum').length;
    assert.ok(stats.checksumFailures >= told, `checksum failures of path ${path}`);
  }

  /** The live counters end where the result does. */
  private checkProgress(): void {
    const { result, progress } = this.outcome;
    const total = (of: 'chunks' | 'bytes' | 'retries' | 'checksumFailures') =>
      BigInt(sum(result.paths.map((path) => path[of])));
    assert.equal(progress, [total('chunks'), total('bytes'), total('retries'), total('checksumFailures')]);
    const { sources } = this.scenario;
    const zeros = [...sources.keys()].filter(
      (chunk) => sources[chunk] === SOURCE_ZERO && !this.failures.has(chunk),
    );
    assert.is(result.zeroChunks, zeros.length, 'zero chunks');
  }
}
