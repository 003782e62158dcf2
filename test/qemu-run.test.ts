import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GuestRun, type GuestRunOptions } from '../hypervisor-shim/guest-run.js';
import { StageClock } from '../hypervisor-shim/stage-clock.js';
import { isVolleyError } from '../src/errors.js';
import { ROOT } from '../src/root.js';
import { FAKE_MONITOR, isRunning, withFakeQemu } from './support/fake-qemu.js';

const test = suite('running QEMU and knowing how it ended');

type Options = Partial<GuestRunOptions> & { started?: boolean };

/** Runs a fake QEMU to its outcome: the outcome, or code and message of the error. */
async function outcomeOf(script: string, { started = true, ...options }: Options = {}): Promise<string> {
  let outcome = '';
  await withFakeQemu(script, async (qemu) => {
    const run = await GuestRun.start({
      qemu,
      args: [],
      clock: new StageClock(),
      timeoutMs: 5000,
      ...options,
    });
    if (started) run.guestStarted();
    outcome = await textOf(run.outcome);
    await run.stop();
  });
  return outcome;
}

function textOf(work: Promise<unknown>): Promise<string> {
  return work.then(String, (error: unknown) => {
    if (!isVolleyError(error)) throw error;
    assert.not.match(error.message, '\n');
    return `${error.code} ${error.message}`;
  });
}

test('a QEMU that is missing or no program is named, with what to install', async () => {
  for (const qemu of ['/nowhere/qemu', 'no-such-qemu', '/etc/passwd', '/tmp']) {
    const text = await textOf(GuestRun.start({ qemu, args: [], clock: new StageClock() }));
    const why = qemu === '/etc/passwd' || qemu === '/tmp' ? 'is not executable' : 'is not installed';
    assert.match(text, /^ERR_VOLLEY_QEMU .*; run: apt-get install qemu-system-x86/);
    assert.match(text, why);
    assert.match(text, qemu);
  }
});

test("a QEMU that ends at once is told in QEMU's own words", async () => {
  const script = `echo "qemu: warning: something small" >&2
    echo "qemu: -machine x: unsupported machine type" >&2
    echo "Use -machine help to list supported machines" >&2; exit 1`;
  const text = await outcomeOf(script, { started: false });
  assert.is(
    text,
    'ERR_VOLLEY_QEMU QEMU ended with exit code 1 before the guest was started: qemu: -machine x: unsupported machine type',
  );
});

test('a QEMU that ends without a word or is killed is told, too', async () => {
  assert.match(await outcomeOf('exit 0', { started: false }), /^ERR_VOLLEY_QEMU .*exit code 0 before/);
  assert.match(await outcomeOf('kill -SEGV $$'), /^ERR_VOLLEY_QEMU .*killed by SIGSEGV while the guest ran/);
});

test('the awaited text makes a success, and QEMU is gone afterwards', async () => {
  await withFakeQemu(
    'echo booting; printf "all is RE"; sleep 0.05; echo "ADY"; exec sleep 60',
    async (qemu) => {
      const clock = new StageClock();
      const run = await GuestRun.start({ qemu, args: [], clock, until: 'READY', timeoutMs: 5000 });
      run.guestStarted();
      assert.is(await run.outcome, 'until');
      await run.stop();
      assert.ok(clock.reached('userspace') && clock.reached('until') && clock.reached('end'));
      assert.not.ok(clock.reached('kernel'));
    },
  );
});

test('a guest that never prints the awaited text is stopped at the deadline, with its last line', async () => {
  const text = await outcomeOf('echo "stuck here"; exec sleep 60', { until: 'READY', timeoutMs: 150 });
  assert.match(text, /^ERR_VOLLEY_GUEST .*did not print "READY" within 0.15 s; its last line: stuck here$/);
  const silent = await outcomeOf('exec sleep 60', { timeoutMs: 100 });
  assert.match(silent, /^ERR_VOLLEY_GUEST .*did not end within 0.1 s; its serial port stayed silent$/);
});

test('a guest that ends too early is told from one that ends as expected', async () => {
  const early = await outcomeOf('echo "Power down"', { until: 'READY' });
  assert.match(early, /^ERR_VOLLEY_GUEST .*ended before it printed "READY"; its last line: Power down$/);
  assert.is(await outcomeOf('echo "Power down"'), 'ended');
});

test('a kernel panic is told at once, not at the deadline', async () => {
  const panic = 'echo "[1.0] Kernel panic - not syncing: no init"; exec sleep 60';
  assert.is(
    await outcomeOf(panic, { until: 'READY' }),
    "ERR_VOLLEY_GUEST the guest's kernel gave up: Kernel panic - not syncing: no init",
  );
});

test("the reason that QEMU gives for the guest's end is kept", async () => {
  const script = `${FAKE_MONITOR}
    echo '{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}' >&3; sleep 0.05`;
  await withFakeQemu(script, async (qemu) => {
    const run = await GuestRun.start({
      qemu,
      args: [],
      clock: new StageClock(),
      until: 'X',
      timeoutMs: 5000,
    });
    run.guestStarted();
    await run.openMonitor();
    assert.match(await textOf(run.outcome), /^ERR_VOLLEY_GUEST the guest ended \(guest-reset\) before/);
    await run.stop();
  });
});

test("the caller's signal stops it, also when it fired before the start", async () => {
  for (const delayMs of [0, 50]) {
    const controller = new AbortController();
    if (delayMs === 0) controller.abort();
    else setTimeout(() => controller.abort('SIGINT'), delayMs);
    const text = await outcomeOf('exec sleep 60', { signal: controller.signal });
    assert.match(text, /^ERR_VOLLEY_ABORTED /);
  }
});

test('output that cannot be written ends the run, and slow output slows the guest but loses nothing', async () => {
  const broken = new Writable({
    write: (_bytes, _encoding, done) => done(new Error('no space left')),
  });
  const text = await outcomeOf('echo hello; exec sleep 60', { output: broken });
  assert.match(text, /^ERR_VOLLEY_FILE .*no space left/);

  let bytes = 0;
  const slow = new Writable({
    highWaterMark: 1024,
    write: (piece: Buffer, _encoding, done) => {
      bytes += piece.length;
      setTimeout(done, 1);
    },
  });
  const script = 'head -c 3000000 /dev/zero; echo READY; exec sleep 60';
  assert.is(await outcomeOf(script, { output: slow, until: 'READY' }), 'until');
  assert.ok(bytes >= 3_000_000 - 200_000);
});

test('QEMU can be stopped while its output is held up', async () => {
  const stuck = new PassThrough({ highWaterMark: 16 });
  const script = 'while :; do echo "more and more"; done';
  const text = await outcomeOf(script, { output: stuck, timeoutMs: 200 });
  assert.match(text, /^ERR_VOLLEY_GUEST /);
});

test('any number of guests in one process listen once for its end', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on('warning', onWarning);
  const before = process.listenerCount('exit');
  const { signal } = new AbortController();
  await withFakeQemu(`${FAKE_MONITOR}; exec sleep 60`, async (qemu) => {
    const starts = Array.from({ length: 12 }, () =>
      GuestRun.start({ qemu, args: [], clock: new StageClock(), timeoutMs: 60_000, signal }),
    );
    const runs = await Promise.all(starts);
    assert.is(process.listenerCount('exit'), before + 1);
    for (const run of runs) run.outcome.catch(() => {});
    await Promise.all(runs.map((run) => run.stop()));
  });
  assert.is(process.listenerCount('exit'), before);
  process.off('warning', onWarning);
  assert.equal(warnings, []);
});

test('QEMU dies when this process is killed', async () => {
  await withFakeQemu('echo $$; exec sleep 60', async (qemu) => {
    const module = JSON.stringify(join(ROOT, 'dist', 'hypervisor-shim', 'qemu.js'));
    const program = `const { Qemu } = await import(${module});
      const qemu = await Qemu.start(${JSON.stringify(qemu)}, []);
      qemu.serial.pipe(process.stdout);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    assert.ok(isRunning(pid));
    parent.kill('SIGKILL');
    await once(parent, 'close');
    for (let i = 0; i < 100 && isRunning(pid); i++) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.not.ok(isRunning(pid));
  });
});

test.run();
