import { isVolleyError, VolleyError } from '../../src/errors.js';
import { systemWords } from '../../src/system-error.js';

/** Why `path` cannot be written: in the words given, or else the system's. */
export function writeError(path: string, cause: unknown, words?: string): VolleyError {
  if (isVolleyError(cause) && cause.code === 'ERR_VOLLEY_FILE') return cause;
  const fault = words ?? systemWords(cause);
  return new VolleyError('ERR_VOLLEY_FILE', `cannot write ${path}: ${fault}`, { cause });
}

/** The system's number of an error, such as that of ENOENT; 0 where it is none of the system. Native code tells it as fs does. */
export function errnoOf(error: unknown): number {
  return -((error as NodeJS.ErrnoException | null)?.errno ?? 0);
}
