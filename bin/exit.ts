import { native } from '../src/native.js';

/**
 * Ends the process. Of processes that end early, one in a hundred was seen not to end by itself (nodejs/node#54918); so the
 * addon ends it, behind all that 'exit' listeners do.
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
