// Runs one compiled test file in a process of its own, and judges what uvu reports.
import { spawn } from 'node:child_process';

// Without this one process in a hundred was seen not to end (nodejs/node#54918).
const NODE_FLAGS = ['--no-concurrent-recompilation', '--enable-source-maps'];

/** Ends whatever a test file left running in its process group. Returns whether there was anything. */
function endLeftovers(group) {
  try {
    process.kill(-group, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}

/** @returns {Promise<{output: string, code: number | null, signal: string | null, leftovers: boolean}>} */
function runFile(path, { cwd, env, timeoutMs }) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...NODE_FLAGS, path], {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true, // a process group of its own, so that nothing it started can outlive it
    });
    let output = '';
    let leftovers = false;
    child.stdout.on('data', (bytes) => (output += bytes));
    child.stderr.on('data', (bytes) => (output += bytes));
    const timer = setTimeout(() => {
      output += `\nkilled after ${timeoutMs / 1000} s\n`;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.on('exit', () => (leftovers = endLeftovers(child.pid)));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ output, code, signal, leftovers });
    });
  });
}

/**
 * uvu exits 0 when a hook throws or when a file forgets .run(): here such a file fails. So does one that skips more tests
 * than it may. uvu counts tests that are skipped outside of the total, and does not name them.
 */
function judge({ output, code, signal, leftovers }, maySkip) {
  const plain = output.replace(/\x1b\[[0-9;]*m/g, '');
  const read = (label) => Number(new RegExp(`^\\s*${label}:\\s+(\\d+)`, 'm').exec(plain)?.[1] ?? Number.NaN);
  const total = read('Total');
  const passed = read('Passed');
  const skipped = read('Skipped');
  let fault = '';
  if (signal) fault = `ended by ${signal}`;
  else if (code !== 0) fault = `exit code ${code}`;
  else if (!(total + skipped >= 1)) fault = 'ran no test, or a hook threw';
  else if (passed !== total) fault = 'a hook threw or tests did not report';
  else if (leftovers) fault = 'left processes behind';
  else if (skipped > maySkip)
    fault = `skipped ${skipped} tests, where scripts/test-files.mjs allows ${maySkip}`;
  const failed = Math.max((total || 0) - (passed || 0), fault ? 1 : 0);
  return { passed: passed || 0, skipped: skipped || 0, failed, fault };
}

/**
 * Runs a file and returns the verdict: `fault` is empty when all is well.
 * @param timeoutMs after which the file is killed
 * @param maySkip how many of its tests may be skipped
 * @returns {Promise<{passed: number, skipped: number, failed: number, fault: string, output: string, seconds: number}>}
 */
export async function testFile(path, { cwd, env, timeoutMs, maySkip }) {
  const began = performance.now();
  const run = await runFile(path, { cwd, env, timeoutMs });
  const seconds = (performance.now() - began) / 1000;
  return { ...judge(run, maySkip), output: run.output, seconds };
}
