import { exit } from './exit.js';

const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;
const INTERRUPTED_EXIT = 1;

/**
 * Runs a command's work with an AbortSignal that SIGINT, SIGTERM and SIGHUP fire, so that it can clean up. A second
 * one ends the process at once. The handlers stay: after its work a command only has to say what came of it.
 */
export async function withSignals<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) exit(INTERRUPTED_EXIT);
    controller.abort(name);
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  return work(controller.signal);
}
