import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, fuzzOptions, prepare, seedFolder } from './fuzz/engine.js';
import { TARGETS, type Target } from './fuzz/targets.js';

/** For each target; the native ones and the others run side by side. */
const SECONDS = Number(process.env.VOLLEY_FUZZ_SECONDS ?? 8);
/** Until a target that hangs is given up: start-up, seeds and one slow input come on top of its seconds. */
const GRACE_MS = 60_000;
const test = suite('fuzzing');

async function fuzzed(target: Target): Promise<string> {
  const scratch = mkdtempSync(join(tmpdir(), 'volley-fuzz-'));
  try {
    const { command, args, environment } = prepare(target, join(scratch, 'corpus'));
    const env = { ...process.env, ...environment };
    // A file, for Node makes pipes non-blocking and libFuzzer's own writes then lose lines when one is full.
    const log = openSync(join(scratch, 'output'), 'a');
    const options = [...args, ...fuzzOptions(SECONDS, join(scratch, 'finding-'))];
    const child = spawn(command, options, { env, stdio: ['ignore', log, log] });
    closeSync(log);
    const timer = setTimeout(() => child.kill('SIGKILL'), SECONDS * 1000 + GRACE_MS);
    const [code] = await once(child, 'close');
    clearTimeout(timer);
    const output = readFileSync(join(scratch, 'output'), 'utf8');
    const finding = readdirSync(scratch).find((name) => name.startsWith('finding-'));
    const input = finding ? readFileSync(join(scratch, finding)).toString('base64') : 'none';
    const told = `${output.slice(-4000)}\n${target.name} fails; the input in base64: ${input}`;
    assert.is(code, 0, told);
    const runs = Number(/number_of_executed_units: (\d+)/.exec(output)?.[1]);
    const seeds = readdirSync(seedFolder(target)).length;
    assert.ok(runs > seeds, `only ${runs} runs: ${told}`);
    return `${target.name}: ${runs} runs in ${SECONDS} s`;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function fuzzedAll(isNative: boolean): Promise<void> {
  for (const target of TARGETS) if (target.isNative === isNative) console.log(await fuzzed(target));
}

test('no input is found that breaks what parsers and readers of hostile bytes promise', async () => {
  try {
    const ended = await Promise.allSettled([fuzzedAll(false), fuzzedAll(true)]);
    for (const one of ended) if (one.status === 'rejected') throw one.reason;
  } finally {
    cleanUp();
  }
});

test.run();
