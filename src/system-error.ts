import { getSystemErrorMap } from 'node:util';

/** What the system says of an error, in its own words (`no such file or directory`), without call and path. */
export function systemWords(error: unknown): string {
  const { errno } = (error ?? {}) as NodeJS.ErrnoException;
  const known = errno === undefined ? undefined : getSystemErrorMap().get(errno);
  return known?.[1] ?? (error instanceof Error ? error.message : String(error));
}
