import type { FileHandle } from 'node:fs/promises';

const TRAILER = 'TRAILER!!!';
const DIRECTORY = 0o040000;
const REGULAR = 0o100000;
const ALIGNMENT = 4;

/**
 * Writes a cpio archive in the `newc` format, as the kernel's initramfs takes it (Linux:
 * Documentation/driver-api/early-userspace/buffer-format.rst). Entries belong to root and have no time.
 */
export class CpioWriter {
  readonly #file: FileHandle;
  #inode = 0;
  #bytes = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Bytes written so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param path relative to the root, without a leading slash; its parents must have been added */
  async addDirectory(path: string): Promise<void> {
    await this.#header(path, DIRECTORY | 0o755, 0);
  }

  /** @param contentBytes what `content` must add up to */
  async addFile(
    path: string,
    permissions: number,
    contentBytes: number,
    content: Iterable<Uint8Array>,
  ): Promise<void> {
    await this.#header(path, REGULAR | permissions, contentBytes);
    let written = 0;
    for (const piece of content) {
      written += piece.length;
      await this.#write(piece);
    }
    if (written !== contentBytes) throw new Error(`${path}: ${written} bytes came, not ${contentBytes}`);
    await this.#pad();
  }

  /** Closes the archive; the file stays open. */
  async end(): Promise<void> {
    await this.#header(TRAILER, 0, 0);
  }

  async #header(path: string, mode: number, contentBytes: number): Promise<void> {
    const name = Buffer.from(`${path}\0`, 'utf8');
    const inode = path === TRAILER ? 0 : ++this.#inode;
    // inode, mode, uid, gid, links, mtime, size, device (2), special device (2), name length, checksum
    const fields = [inode, mode, 0, 0, 1, 0, contentBytes, 0, 0, 0, 0, name.length, 0];
    const digits = fields.map((field) => field.toString(16).padStart(8, '0')).join('');
    await this.#write(Buffer.concat([Buffer.from(`070701${digits}`, 'latin1'), name]));
    await this.#pad();
  }

  async #pad(): Promise<void> {
    const gap = -this.#bytes & (ALIGNMENT - 1);
    if (gap > 0) await this.#write(Buffer.alloc(gap));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#file.writeFile(bytes);
    this.#bytes += bytes.length;
  }
}
