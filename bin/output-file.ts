import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isVolleyError, VolleyError } from '../src/errors.js';
import { type GuestMemory, native } from '../src/native.js';
import { systemWords } from '../src/system-error.js';

/**
 * A file that appears whole or not at all: it is filled under another name in the same folder and renamed at the end.
 */
export class OutputFile {
  #memory: GuestMemory | null = null;
  /** For a process that is ended in mid-load. */
  readonly #onExit = () => rmSync(this.temporary, { force: true });

  private constructor(
    readonly path: string,
    readonly temporary: string,
    readonly file: FileHandle,
  ) {
    process.once('exit', this.#onExit);
  }

  /**
   * Makes the temporary file, with all its space allocated.
   * @throws VolleyError ERR_VOLLEY_FILE when the place cannot be written, or has no room
   */
  static async create(path: string, bytes: number): Promise<OutputFile> {
    const target = await realTarget(path);
    const temporary = join(dirname(target), `.volley-${randomBytes(8).toString('hex')}`);
    let output: OutputFile | undefined;
    try {
      output = new OutputFile(target, temporary, await open(temporary, 'wx+', 0o666));
      await output.file.truncate(bytes);
      if (bytes > 0) output.#reserve(bytes);
      return output;
    } catch (error) {
      await output?.discard();
      throw fileError(path, systemWords(error), error);
    }
  }

  /** Where the file's bytes go; null when it has none. */
  get memory(): GuestMemory | null {
    return this.#memory;
  }

  /** Makes the file appear under its name. */
  async commit(): Promise<void> {
    this.#memory?.close();
    await this.file.close();
    try {
      await rename(this.temporary, this.path);
    } catch (error) {
      await rm(this.temporary, { force: true });
      throw fileError(this.path, systemWords(error), error);
    } finally {
      process.off('exit', this.#onExit);
    }
  }

  /** Leaves nothing behind. */
  async discard(): Promise<void> {
    this.#memory?.close();
    await this.file.close();
    await rm(this.temporary, { force: true });
    process.off('exit', this.#onExit);
  }

  /** Space first: a disk that is full must be an error now, not a SIGBUS while the load writes. */
  #reserve(bytes: number): void {
    this.#memory = native().GuestMemory.map(this.file.fd, bytes);
    this.#memory.reserve(0, bytes);
  }
}

/** The file that `path` stands for, symbolic links followed. */
async function realTarget(path: string): Promise<string> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw fileError(path, systemWords(error), error);
  });
  if (!found) return path;
  if (!found.isFile()) throw fileError(path, 'it is no regular file; take --out - and redirect', null);
  return realpath(path);
}

function fileError(path: string, fault: string, cause: unknown): VolleyError {
  if (isVolleyError(cause) && cause.code === 'ERR_VOLLEY_FILE') return cause;
  return new VolleyError('ERR_VOLLEY_FILE', `cannot write ${path}: ${fault}`, { cause });
}
