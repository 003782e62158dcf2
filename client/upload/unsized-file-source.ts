import type { Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { confirmSame } from './file-source.js';
import { PIECE_BYTES } from './piece.js';
import { StreamSource } from './stream-source.js';

/** An upload from a regular file that does not say how long it is: it is read to its end. */
export class UnsizedFileSource extends StreamSource {
  readonly #file: FileHandle;
  readonly #atStart: Stats;

  /** @param label the path as it is to be shown in messages */
  constructor(file: FileHandle, label: string, stats: Stats) {
    super(file.createReadStream({ autoClose: false, highWaterMark: PIECE_BYTES }), label);
    this.#file = file;
    this.#atStart = stats;
  }

  override async confirmUnchanged(): Promise<void> {
    confirmSame(this.label, this.#atStart, await this.#file.stat());
  }

  override async close(): Promise<void> {
    await super.close();
    await this.#file.close();
  }
}
