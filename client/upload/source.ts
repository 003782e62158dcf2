import { createReadStream } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { VolleyError } from '../../src/errors.js';
import { pathOf } from '../../src/file-path.js';
import { quote } from '../../src/keys.js';
import { systemWords } from '../../src/system-error.js';
import { BufferSource } from './buffer-source.js';
import { FileSource } from './file-source.js';
import type { Piece } from './piece.js';
import { StreamSource } from './stream-source.js';
import { UnsizedFileSource } from './unsized-file-source.js';

/**
 * What can be uploaded: the path of a file, a stream of bytes, or bytes. A byte of a path that is not UTF-8 is a lone
 * surrogate, U+DC00 + byte.
 */
export type UploadSource = string | Readable | Uint8Array;

/** Where the bytes of an upload come from. */
export interface PieceSource {
  /** What to call it in messages. */
  readonly label: string;
  /** Size of the image, or null while it is not known. */
  readonly bytes: number | null;
  /** Puts the next bytes (or where to read them) into `piece`: always full pieces (bytesMax), but for the last. False at the end. */
  next(piece: Piece): Promise<boolean>;
  /** The same bytes once more, or null when the source can be read only once. */
  reread(position: number, length: number): Promise<Buffer | null>;
  /** Begins anew with next(); false when the source can be read only once. */
  rewind(): boolean;
  /** @throws VolleyError ERR_VOLLEY_FILE when the source changed while it was read */
  confirmUnchanged(): Promise<void>;
  /** Ends a wait in next(), which then rejects. */
  abort(error: Error): void;
  close(): Promise<void>;
}

/** @throws VolleyError ERR_VOLLEY_FILE when a file cannot be read, ERR_VOLLEY_USAGE when it is no source */
export async function openSource(source: UploadSource): Promise<PieceSource> {
  if (typeof source === 'string') return openFile(source);
  if (source instanceof Uint8Array) return new BufferSource(source);
  if (typeof source?.[Symbol.asyncIterator] === 'function') return new StreamSource(source, 'the stream');
  throw new VolleyError('ERR_VOLLEY_USAGE', 'an upload takes a file path, a Readable or a Buffer');
}

async function openFile(path: string): Promise<PieceSource> {
  let file: FileHandle | undefined;
  try {
    const kind = await stat(pathOf(path));
    if (kind.isDirectory()) throw new Error('it is a directory');
    if (!kind.isFile()) return new StreamSource(createReadStream(pathOf(path)), quote(path));
    file = await open(pathOf(path), 'r');
    const stats = await file.stat();
    const isSized = await endsAt(file, stats.size);
    return isSized
      ? new FileSource(file, quote(path), stats)
      : new UnsizedFileSource(file, quote(path), stats);
  } catch (cause) {
    await file?.close();
    throw fileError(quote(path), systemWords(cause), cause);
  }
}

/** Whether a file's size is true: in procfs, sysfs and the like a file says 0 or 4096, and holds something else. */
async function endsAt(file: FileHandle, size: number): Promise<boolean> {
  const last = Math.min(1, size);
  try {
    const { bytesRead } = await file.read(Buffer.alloc(2), 0, 2, size - last);
    return bytesRead === last;
  } catch {
    // It can be read from its start only, or not at all, which reading it will show.
    return false;
  }
}

/** A source that could not be read. */
export function fileError(what: string, fault: string, cause?: unknown): VolleyError {
  return new VolleyError(
    'ERR_VOLLEY_FILE',
    `cannot read ${what}: ${fault}; nothing was stored under the name`,
    { cause },
  );
}
