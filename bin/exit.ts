import { native } from '../src/native.js';

/**
 * Ends the process. By itself Node waits for threads that are optimizing code, which may wait for it in turn, for ever
 * (nodejs/node#54918: one in a hundred processes that end early); so the addon ends it, behind all that 'exit' listeners do.
 */
export function exit(code: number): never {
  process.on('exit', () => leave(code));
  process.exit(code);
}

function leave(code: number): void {
  try {
    native().leave(code);
  } catch {
    // Where the addon is not built Node ends the process.
  }
}
