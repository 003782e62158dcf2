import { constants as system, tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { type GuestMemory, native } from '../../src/native.js';
import { systemWords } from '../../src/system-error.js';
import type { Run } from './data-runs.js';
import { errnoOf, writeError } from './file-error.js';
import { copyInPlace } from './in-place.js';
import { Staging } from './staging.js';
import { type ExistingFile, openTarget, type Target } from './target.js';

const { EACCES, EBUSY, EPERM, EROFS, ETXTBSY, EXDEV } = system.errno;
/** How systems say that a folder takes no new file, or that a file in it cannot be replaced: the file itself may be writable. */
const NO_REPLACING: readonly number[] = [EACCES, EPERM, EROFS, EBUSY, EXDEV];
const MODE_NEW = 0o666;
const MODE_OWNER_ONLY = 0o600;
const MODE_BITS = 0o7777;
/** A write by anybody but root takes setuid and setgid from a file. */
const MODE_BITS_KEPT_BY_WRITES = 0o1777;

/** An image's size, and what of it takes room. */
export interface ImageShape {
  bytes: number;
  /** The rest stays a hole. */
  runs: readonly Run[];
}

/**
 * A file that appears whole or not at all. The image is loaded into a file without a name, which then takes the place of the
 * one that is there, with its mode, owner and attributes. Where that cannot be, the image is copied into the file that is
 * there, once all of it has been verified.
 */
export class OutputFile {
  private constructor(
    private readonly target: Target,
    private readonly shape: ImageShape,
    private readonly staging: Staging,
    private reason: string | null,
  ) {}

  /** @throws VolleyError ERR_VOLLEY_FILE when the path may not be written, or there is no room */
  static async create(given: string, shape: ImageShape): Promise<OutputFile> {
    const target = await openTarget(given);
    const { existing } = target;
    let staging: Staging | undefined;
    try {
      let reason = reasonInPlace(existing);
      staging = await openBeside(target);
      if (staging && existing && reason === null) reason = await takeOver(existing, staging);
      if (!staging) reason ??= 'its folder takes no new file';
      if (reason !== null && !existing!.file) throw writeError(given, { errno: -ETXTBSY });
      staging ??= await openElsewhere(shape.bytes);
      await staging.size(shape.bytes, shape.runs);
      return new OutputFile(target, shape, staging, reason);
    } catch (error) {
      await staging?.close();
      await existing?.file?.close();
      throw writeError(given, error);
    }
  }

  /** Where the image's bytes go; null when it has none. */
  get memory(): GuestMemory | null {
    return this.staging.memory;
  }

  /** Why the file was written in place, or null when it was replaced or is new. For after commit(). */
  get inPlace(): string | null {
    return this.reason;
  }

  /** Makes the file appear under its name. @throws VolleyError ERR_VOLLEY_FILE that tells what is there now */
  async commit(): Promise<void> {
    try {
      if (this.reason === null) this.#replace();
      if (this.reason !== null) await this.#copy(this.reason);
    } catch (error) {
      throw writeError(this.target.given, error);
    } finally {
      await this.discard();
    }
  }

  /** Leaves nothing behind. */
  async discard(): Promise<void> {
    await this.staging.close();
    await this.target.existing?.file?.close();
  }

  #replace(): void {
    const { path, existing } = this.target;
    try {
      this.staging.replace(dirname(path), path);
    } catch (error) {
      if (!existing?.file || !NO_REPLACING.includes(errnoOf(error))) throw error;
      this.reason = `it cannot be replaced: ${systemWords(error)}`;
    }
  }

  async #copy(reason: string): Promise<void> {
    const { given, existing } = this.target;
    const { file, stats } = existing as ExistingFile;
    await copyInPlace({ given, from: this.staging.handle, to: file!, stats, reason, ...this.shape });
  }
}

/** In the folder of the file; undefined where that takes no new file, but the one that is there can be written. */
async function openBeside({ path, existing }: Target): Promise<Staging | undefined> {
  if (existing?.isDescriptor) return undefined;
  try {
    return await Staging.open(dirname(path), existing ? MODE_OWNER_ONLY : MODE_NEW);
  } catch (error) {
    if (!existing?.file || !NO_REPLACING.includes(errnoOf(error))) throw error;
    return undefined;
  }
}

/** In the folder for temporary files, else in memory. */
async function openElsewhere(bytes: number): Promise<Staging> {
  return Staging.open(tmpdir(), MODE_OWNER_ONLY).catch(() => Staging.inMemory(bytes));
}

/** Why a file must be written in place, as far as shows at once; null when it can be replaced. */
function reasonInPlace(existing: ExistingFile | null): string | null {
  if (existing === null) return null;
  if (existing.isDescriptor) return 'it is named by a descriptor';
  const { nlink } = existing.stats;
  return nlink > 1 ? `it has ${nlink} hard links` : null;
}

/** Gives the file that is to take another's place all that must stay; returns why that cannot be, or null. */
async function takeOver({ stats, file }: ExistingFile, staging: Staging): Promise<string | null> {
  const { handle } = staging;
  const { uid, gid } = await handle.stat();
  try {
    if (uid !== stats.uid || gid !== stats.gid) await handle.chown(stats.uid, stats.gid);
  } catch {
    return 'a new file could not have its owner';
  }
  if (file && !native().copyAttributes(file.fd, handle.fd)) return 'a new file could not have its attributes';
  await handle.chmod(stats.mode & (process.geteuid!() === 0 ? MODE_BITS : MODE_BITS_KEPT_BY_WRITES));
  return null;
}
