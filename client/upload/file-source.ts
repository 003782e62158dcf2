import type { Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Piece } from './piece.js';
import { fileError, type PieceSource } from './source.js';

/** An upload from a regular file: pieces only tell where to read, the hashing threads read. */
export class FileSource implements PieceSource {
  readonly label: string;
  readonly bytes: number;
  readonly #file: FileHandle;
  readonly #atStart: Stats;
  #position = 0;

  /** @param label the path as it is to be shown in messages */
  constructor(file: FileHandle, label: string, stats: Stats) {
    this.#file = file;
    this.label = label;
    this.#atStart = stats;
    this.bytes = stats.size;
  }

  async next(piece: Piece): Promise<boolean> {
    piece.fd = this.#file.fd;
    piece.position = this.#position;
    piece.length = Math.min(piece.bytesMax, this.bytes - this.#position);
    this.#position += piece.length;
    return piece.length > 0;
  }

  async reread(position: number, length: number): Promise<Buffer> {
    const data = Buffer.alloc(length);
    await this.#file.read(data, 0, length, position);
    return data;
  }

  rewind(): boolean {
    this.#position = 0;
    return true;
  }

  async confirmUnchanged(): Promise<void> {
    confirmSame(this.label, this.#atStart, await this.#file.stat());
  }

  abort(): void {}

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** @throws VolleyError ERR_VOLLEY_FILE when a file is not what it was */
export function confirmSame(label: string, before: Stats, now: Stats): void {
  if (now.size === before.size && now.mtimeMs === before.mtimeMs) return;
  throw fileError(label, 'it was changed while it was read');
}
