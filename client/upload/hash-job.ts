import { readSync } from 'node:fs';
import { contentDigest, DIGEST_BYTES, xxh3 } from '../../src/digest.js';
import { CHUNK_BYTES_MAX, RECORD_BYTES } from '../../src/manifest.js';
import { systemWords } from '../../src/system-error.js';
import { PIECE_BYTES } from './piece.js';

const ZEROS = Buffer.alloc(CHUNK_BYTES_MAX);

/** One piece's work for whoever hashes. */
export interface HashJob {
  id: number;
  /** The piece's memory: data, and room for the records behind PIECE_BYTES. */
  buffer: SharedArrayBuffer;
  length: number;
  chunkBytes: number;
  /** Descriptor to read the data from at `position`, or -1 when the buffer holds it. */
  fd: number;
  position: number;
}

/** The answer to a HashJob, when the records are written. */
export interface HashResult {
  id: number;
  /** Why the data could not be read, or null. */
  fault: string | null;
}

/** Reads the piece's data if need be and writes its records. Returns why that failed, or null. */
export function runHashJob(job: HashJob): string | null {
  const data = Buffer.from(job.buffer, 0, job.length);
  if (job.fd >= 0) {
    const fault = readAll(job.fd, data, job.position);
    if (fault) return fault;
  }
  const records = Buffer.from(job.buffer, PIECE_BYTES);
  for (let start = 0, at = 0; start < job.length; start += job.chunkBytes, at += RECORD_BYTES) {
    writeRecord(data.subarray(start, Math.min(start + job.chunkBytes, job.length)), records, at);
  }
  return null;
}

/** Writes the record of one chunk: digest and XXH3, or zeros for a chunk of zeros. */
export function writeRecord(chunk: Buffer, records: Uint8Array, offset: number): void {
  if (ZEROS.compare(chunk, 0, chunk.length, 0, chunk.length) === 0) {
    records.fill(0, offset, offset + RECORD_BYTES);
    return;
  }
  records.set(contentDigest(chunk), offset);
  records.set(xxh3(chunk), offset + DIGEST_BYTES);
}

function readAll(fd: number, data: Buffer, position: number): string | null {
  try {
    for (let done = 0; done < data.length; ) {
      const bytes = readSync(fd, data, done, data.length - done, position + done);
      if (bytes === 0) return 'it became shorter while it was read';
      done += bytes;
    }
    return null;
  } catch (error) {
    return systemWords(error);
  }
}
