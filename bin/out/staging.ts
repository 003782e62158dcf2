import { randomBytes } from 'node:crypto';
import { constants, existsSync, renameSync, rmSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { constants as system } from 'node:os';
import { join } from 'node:path';
import { pathOf } from '../../src/file-path.js';
import { type GuestMemory, native } from '../../src/native.js';
import { holesBetween, type Run } from './data-runs.js';
import { errnoOf } from './file-error.js';

/** The kernel's __O_TMPFILE, which Node does not name; it is the same on all machines that Volley runs on. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;
const { EEXIST, EINVAL, EISDIR, EOPNOTSUPP } = system.errno;
/** How systems say that a folder's file system, or they themselves, have no files without a name. */
const NO_TMPFILE: readonly number[] = [EOPNOTSUPP, EISDIR, EINVAL];

/**
 * What an image is loaded into before anything of it is to be seen: a file without a name, which vanishes with the process
 * however that ends; where the file system has none, a hidden one, which only SIGKILL leaves behind.
 */
export class Staging {
  #memory: GuestMemory | null = null;
  readonly #onExit = () => this.#removeName();

  private constructor(
    readonly handle: FileHandle,
    private name: string | null,
  ) {
    if (name !== null) process.once('exit', this.#onExit);
  }

  /** @param mode of the file, but for the umask. @throws Error of the system */
  static async open(folder: string, mode: number): Promise<Staging> {
    const nameless = await openNameless(folder, mode);
    if (nameless) return new Staging(nameless, null);
    const name = hiddenName(folder);
    return new Staging(await open(pathOf(name), 'wx+', mode), name);
  }

  /** In this process's memory: for where no file can be made. */
  static async inMemory(bytes: number): Promise<Staging> {
    const memory = native().GuestMemory.create(Math.max(1, bytes));
    try {
      const staging = new Staging(await open(`/proc/self/fd/${memory.fd}`, 'r+'), null);
      staging.#memory = memory;
      return staging;
    } catch (error) {
      memory.close();
      throw error;
    }
  }

  /** Where the image goes; null when it has no bytes. */
  get memory(): GuestMemory | null {
    return this.#memory;
  }

  /**
   * Gives the file its size, and room for the runs: a disk that is full must be an error now, not a SIGBUS while the load
   * writes. What is between the runs stays a hole.
   * @throws Error of the system, VolleyError
   */
  async size(bytes: number, runs: readonly Run[]): Promise<void> {
    if (bytes === 0 || this.#memory) return;
    await this.handle.truncate(bytes);
    this.#memory = native().GuestMemory.map(this.handle.fd, bytes);
    for (const { offset, length } of runs) this.#memory.reserve(offset, length);
    for (const { offset, length } of holesBetween(runs, bytes)) this.#memory.keepHole(offset, length);
  }

  /**
   * Has the file appear at a path in its folder's file system, in place of what is there. Nothing else of this process runs
   * meanwhile, for between two calls of the system the file may have a hidden name.
   * @throws Error of the system; the path is as it was then
   */
  replace(folder: string, path: string): void {
    if (this.name === null && this.#linkNew(path)) return;
    if (this.name === null) {
      const name = hiddenName(folder);
      native().linkFile(this.handle.fd, Buffer.from(pathOf(name)));
      this.name = name;
    }
    try {
      renameSync(pathOf(this.name), pathOf(path));
      this.name = null;
    } finally {
      this.#removeName();
    }
  }

  async close(): Promise<void> {
    this.#memory?.close();
    await this.handle.close();
    this.#removeName();
    process.off('exit', this.#onExit);
  }

  #linkNew(path: string): boolean {
    try {
      native().linkFile(this.handle.fd, Buffer.from(pathOf(path)));
      return true;
    } catch (error) {
      if (errnoOf(error) === EEXIST) return false;
      throw error;
    }
  }

  #removeName(): void {
    if (this.name !== null) rmSync(pathOf(this.name), { force: true });
    this.name = null;
  }
}

/** Null where there are no files without a name, or they could not get one later. */
async function openNameless(folder: string, mode: number): Promise<FileHandle | null> {
  if (!existsSync('/proc/self/fd')) return null;
  try {
    return await open(pathOf(folder), constants.O_RDWR | O_TMPFILE, mode);
  } catch (error) {
    if (NO_TMPFILE.includes(errnoOf(error))) return null;
    throw error;
  }
}

function hiddenName(folder: string): string {
  return join(folder, `.volley-${randomBytes(8).toString('hex')}`);
}
