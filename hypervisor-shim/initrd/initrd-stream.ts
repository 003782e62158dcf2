import { pipeline, type Readable, Transform } from 'node:stream';
import { BoundedBytes } from './bounded-bytes.js';
import { type InitrdHints, type InitrdInspection, inspectInitrd } from './inspect.js';

/** So much of a stream is kept to be looked at. */
const PREFIX_BYTES = 1 << 20;

/** A stream that goes on to an upload while its first bytes are kept, to see what Linux would refuse of them. */
export class InitrdStream {
  /** The same bytes as the stream's. */
  readonly source: Readable;
  /** Known when the source has come to its end. */
  readonly inspection: Promise<InitrdInspection>;

  constructor(stream: Readable, hints: InitrdHints) {
    const parts: Buffer[] = [];
    let kept = 0;
    let inspected!: (inspection: Promise<InitrdInspection>) => void;
    this.inspection = new Promise((resolve) => {
      inspected = resolve;
    });
    let bytes = 0;
    const passOn = new Transform({
      transform(part: Buffer, _encoding, done) {
        bytes += part.length;
        if (kept < PREFIX_BYTES) {
          parts.push(part);
          kept += part.length;
        }
        done(null, part);
      },
      flush(done) {
        inspected(inspectInitrd(BoundedBytes.ofPrefix(Buffer.concat(parts), bytes === kept), hints));
        done();
      },
    });
    // Whoever reads is told of errors; and ending the one ends the other, also while no byte comes.
    this.source = pipeline(stream, passOn, () => {});
  }
}
