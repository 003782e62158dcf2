const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
const INTERRUPTED_EXIT = 1;

/**
 * Runs work with an AbortSignal that SIGINT and SIGTERM fire, so that it can clean up. A second one ends the process
 * at once.
 */
export async function withSignals<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(INTERRUPTED_EXIT);
    controller.abort(name);
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of SIGNALS) process.off(name, onSignal);
  }
}
