import { randomBytes } from 'node:crypto';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file of a test that is gone at the end of the process. @param mode of the file, whatever the umask */
export function temporaryFile(content: string | Buffer, mode = 0o600): string {
  const path = join(tmpdir(), `volley-test-${process.pid}-${randomBytes(4).toString('hex')}`);
  writeFileSync(path, content);
  chmodSync(path, mode);
  process.once('exit', () => rmSync(path, { force: true }));
  return path;
}

/** Whom the nodes of these tests know. */
export const ALICE = { user: 'alice', password: 'open:sesame' };
export const BOB = { user: 'bob', password: 'pässwörd' };

/** An auth file with them. */
export function authFile(): string {
  return temporaryFile(`${ALICE.user}:${ALICE.password}\n${BOB.user}:${BOB.password}\r\n`);
}
