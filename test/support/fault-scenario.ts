import {
  FAULT_LATE,
  FAULT_TWICE,
  FAULTS,
  type FailureReason,
  type Fault,
  SOURCE_SKIP,
  SOURCE_ZERO,
} from '../../src/native.js';
import type { FaultImage } from './fault-images.js';
import { Random } from './random.js';

export interface Step {
  fault: Fault;
  late: boolean;
  twice: boolean;
}

/** When a load is cancelled: before or right after run(), a turn of the event loop later, or after some milliseconds. */
export type Cancel = 'before' | 'at once' | 'next turn' | 'in a moment';

/** One load with everything that will go wrong in it. */
export interface Scenario {
  seed: number;
  /** flaky: only what another attempt may mend; breaking: ways also end; silent: completions also fail to come. */
  kind: 'flaky' | 'breaking' | 'silent' | 'canceled';
  image: FaultImage;
  chunkCount: number;
  imageBytes: number;
  destinationOffset: number;
  destinationIsZero: boolean;
  threads: number;
  window: number;
  retries: number;
  readTimeoutMs: number;
  /** Whether other threads verify what has landed. */
  verifyBeside: boolean;
  cancel: Cancel | null;
  /** Paths 0 to fakePaths - 1 are fake; the one behind them is a clean local one. */
  fakePaths: number;
  sources: Uint16Array;
  /** Per chunk its attempts' steps; those after the last one meet no fault. */
  steps: Step[][];
}

const MENDABLE: readonly Fault[] = ['missing', 'length', 'bounds', 'reused', 'torn'];
const ATTEMPTS_MAX = 8;
const NO_FAULT: Step = { fault: 'none', late: false, twice: false };

/** How an attempt ends; undefined when it does not. */
export function statusOf(fault: Fault): FailureReason | undefined {
  if (fault === 'never') return undefined;
  return fault === 'reused' || fault === 'torn' ? 'checksum' : fault;
}

export function stepOf(scenario: Scenario, chunk: number, attempt: number): Step {
  return scenario.steps[chunk]![attempt] ?? NO_FAULT;
}

/** The statuses that a chunk meets if nothing but its own steps ends it; undefined stands for one that never comes. */
export function attemptsAt(scenario: Scenario, chunk: number): (FailureReason | undefined)[] {
  const statuses: (FailureReason | undefined)[] = [];
  for (let attempt = 0; attempt <= scenario.retries; attempt++) {
    const { fault } = stepOf(scenario, chunk, attempt);
    statuses.push(statusOf(fault));
    if (!MENDABLE.includes(fault)) break;
  }
  return statuses;
}

/** What FakePath.faults wants for the chunks that come over a path. */
export function faultRows(scenario: Scenario, path: number): Buffer {
  const rows: Buffer[] = [];
  scenario.steps.forEach((steps, chunk) => {
    if (scenario.sources[chunk] !== path || steps.length === 0) return;
    const row = Buffer.alloc(24);
    scenario.image.records.copy(row, 0, chunk * 24, chunk * 24 + 16);
    steps.forEach((step, attempt) => {
      row[16 + attempt] =
        FAULTS.indexOf(step.fault) | (step.late ? FAULT_LATE : 0) | (step.twice ? FAULT_TWICE : 0);
    });
    rows.push(row);
  });
  return Buffer.concat(rows);
}

function chooseSteps(random: Random, kind: Scenario['kind'], faulty: number): Step[] {
  const attempts = random.chance(faulty) ? random.between(1, ATTEMPTS_MAX) : 0;
  return Array.from({ length: attempts }, () => {
    let fault: Fault = random.chance(0.75) ? random.pick(MENDABLE) : 'none';
    if (kind === 'breaking' && random.chance(0.2)) fault = random.pick(['connection', 'protocol']);
    if ((kind === 'silent' || kind === 'canceled') && random.chance(0.2)) fault = 'never';
    return { fault, late: random.chance(0.05), twice: random.chance(0.3) };
  });
}

function chooseSource(random: Random, paths: number): number {
  if (random.chance(0.05)) return SOURCE_ZERO;
  if (random.chance(0.05)) return SOURCE_SKIP;
  return random.between(0, paths - 1);
}

/** Everything follows from the seed. */
export function scenarioOf(seed: number, images: FaultImage[]): Scenario {
  const random = new Random(seed);
  const kinds = ['flaky', 'flaky', 'flaky', 'flaky', 'breaking', 'breaking', 'silent', 'canceled'] as const;
  const kind = random.pick(kinds);
  const image = random.pick(images);
  const chunkCount = random.between(1, image.chunks.length);
  const fakePaths = random.between(1, 3);
  const paths = fakePaths + random.between(0, 1);
  const faulty = random.pick([0.05, 0.3, 1]);
  const everyStep = random.chance(0.9);
  return {
    seed,
    kind,
    image,
    chunkCount,
    imageBytes: image.chunks.slice(0, chunkCount).reduce((sum, chunk) => sum + chunk.length, 0),
    destinationOffset: random.pick([0, 64, 4096, 5001]),
    destinationIsZero: random.chance(0.1),
    threads: random.between(1, 4),
    window: random.pick([1, 2, 3, 8, 16, 256]),
    retries: random.between(0, 4),
    readTimeoutMs: kind === 'silent' ? random.between(3, 10) : 10_000,
    cancel: kind === 'canceled' ? random.pick(['before', 'at once', 'next turn', 'in a moment']) : null,
    fakePaths,
    sources: Uint16Array.from({ length: chunkCount }, () => chooseSource(random, paths)),
    steps: Array.from({ length: chunkCount }, () => (everyStep ? chooseSteps(random, kind, faulty) : [])),
    verifyBeside: random.chance(0.5),
  };
}

/** The scenario in words, for whoever replays its seed. */
export function describe(scenario: Scenario): string {
  const { image, steps, sources, ...rest } = scenario;
  const lines = steps.map((attempts, chunk) => {
    const words = attempts.map(
      (step) => step.fault + (step.late ? ', late' : '') + (step.twice ? ', twice' : ''),
    );
    return `  chunk ${chunk} over ${sources[chunk]}: ${words.join('; ') || 'no fault'}`;
  });
  return [JSON.stringify({ ...rest, chunkBytes: image.chunkBytes }), ...lines].join('\n');
}
