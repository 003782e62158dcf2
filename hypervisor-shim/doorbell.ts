import { VolleyError } from '../src/errors.js';
import type { GuestRun } from './guest-run.js';
import type { Handoff, HandoffOrder } from './handoff.js';
import type { StageClock } from './stage-clock.js';

/** Firmware and setup code take some tens of milliseconds, or a second on a slow, busy machine. */
const FIRMWARE_TIMEOUT_MS = 30_000;
const DOORBELL_TIMEOUT_MS = 5_000;
const POLL_MS = 1;

/**
 * Waits for the stub, gives it its order, rings, and sees that it was heard.
 * @throws VolleyError ERR_VOLLEY_GUEST when the stub does not come or does not obey, or what cut the run short
 */
export async function startKernel(
  handoff: Handoff,
  order: HandoffOrder,
  run: GuestRun,
  clock: StageClock,
): Promise<void> {
  const firmware = `firmware did not start the stub within ${FIRMWARE_TIMEOUT_MS} ms`;
  await poll(() => handoff.state() === 'waiting', FIRMWARE_TIMEOUT_MS, firmware, run);
  clock.reach('firmware');
  handoff.write(order);
  run.guestStarted();
  handoff.ring();
  clock.reach('doorbell');
  const silent = `the stub did not hear the doorbell within ${DOORBELL_TIMEOUT_MS} ms`;
  await poll(() => isHeard(handoff), DOORBELL_TIMEOUT_MS, silent, run);
}

/** The kernel may overwrite the stub's word soon after it has started: then the stub seems absent. */
function isHeard(handoff: Handoff): boolean {
  const state = handoff.state();
  if (state === 'refused') throw new VolleyError('ERR_VOLLEY_GUEST', 'the stub refused the order to start');
  return state !== 'waiting';
}

async function poll(done: () => boolean, timeoutMs: number, tooLate: string, run: GuestRun): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!done()) {
    if (performance.now() > deadline) throw new VolleyError('ERR_VOLLEY_GUEST', tooLate);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    run.signal.throwIfAborted();
  }
}
