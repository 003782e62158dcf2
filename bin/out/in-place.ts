import { ftruncateSync, type Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { native } from '../../src/native.js';
import { systemWords } from '../../src/system-error.js';
import type { Run } from './data-runs.js';
import { writeError } from './file-error.js';

const COPY_BYTES = 1024 * 1024;
const BLOCK_BYTES = 512;

/** What is to be written where. */
export interface Copy {
  /** What to call the file in messages. */
  given: string;
  /** Holds the image, verified. */
  from: FileHandle;
  to: FileHandle;
  /** Of `to`, as it was found. */
  stats: Stats;
  bytes: number;
  runs: readonly Run[];
  /** Why the file is not replaced. */
  reason: string;
}

/**
 * Writes an image over the content of a file. The file is emptied first and then grows from its start, so that one that was
 * not finished, even by SIGKILL, is never as long as the image; where the process can still act, it leaves the file empty.
 * @throws VolleyError ERR_VOLLEY_FILE that tells whether the older content is still there
 */
export async function copyInPlace(copy: Copy): Promise<void> {
  const { given, to, bytes, runs, reason } = copy;
  await makeRoom(copy);
  const empty = () => ftruncateSync(to.fd, 0);
  process.once('exit', empty);
  try {
    empty();
    for (const run of runs) {
      native().allocateFile(to.fd, run.offset, run.length);
      await copyRun(copy, run);
    }
    await to.truncate(bytes);
  } catch (error) {
    empty();
    const words = `${systemWords(error)}; it was written in place (${reason}), and is empty now`;
    throw writeError(given, error, words);
  } finally {
    process.off('exit', empty);
  }
}

/** Reserves what the file needs beyond what it has, while its content is still there. */
async function makeRoom({ given, to, stats, runs }: Copy): Promise<void> {
  const needed = runs.reduce((sum, { length }) => sum + length, 0);
  const more = needed - stats.blocks * BLOCK_BYTES;
  if (more <= 0) return;
  try {
    native().allocateFile(to.fd, stats.size, more);
  } catch (error) {
    await to.truncate(stats.size);
    throw writeError(given, error, `${systemWords(error)}; it is as it was`);
  }
}

async function copyRun({ from, to }: Copy, { offset, length }: Run): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(COPY_BYTES, length));
  for (let done = 0; done < length; ) {
    const { bytesRead } = await from.read(buffer, 0, Math.min(buffer.length, length - done), offset + done);
    if (bytesRead === 0) throw new Error('the staged image ended early');
    for (let written = 0; written < bytesRead; ) {
      const at = offset + done + written;
      written += (await to.write(buffer, written, bytesRead - written, at)).bytesWritten;
    }
    done += bytesRead;
  }
}
