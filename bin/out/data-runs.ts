import { isZeroRecord, type Manifest, RECORD_BYTES } from '../../src/manifest.js';

/** A range of an image, in bytes. */
export interface Run {
  offset: number;
  length: number;
}

/** The ranges of an image that are not zeros as far as its chunks tell, in order and apart from each other. */
export function dataRuns({ records, chunkCount, chunkBytes, imageBytes }: DataShape): Run[] {
  const runs: Run[] = [];
  let last: Run | undefined;
  for (let chunk = 0; chunk < chunkCount; chunk++) {
    if (isZeroRecord(records, chunk * RECORD_BYTES)) continue;
    const offset = chunk * chunkBytes;
    const length = Math.min(chunkBytes, imageBytes - offset);
    if (last && last.offset + last.length === offset) {
      last.length += length;
    } else {
      last = { offset, length };
      runs.push(last);
    }
  }
  return runs;
}

type DataShape = Pick<Manifest, 'records' | 'chunkCount' | 'chunkBytes' | 'imageBytes'>;

/** What lies between the runs, and behind the last one. */
export function holesBetween(runs: readonly Run[], bytes: number): Run[] {
  const ends = [0, ...runs.map(({ offset, length }) => offset + length)];
  const starts = [...runs.map(({ offset }) => offset), bytes];
  return ends.map((end, i) => ({ offset: end, length: starts[i]! - end })).filter(({ length }) => length > 0);
}
