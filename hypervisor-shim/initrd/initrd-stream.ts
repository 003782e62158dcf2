import { Readable } from 'node:stream';
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
    async function* passOn(): AsyncGenerator<Buffer> {
      let bytes = 0;
      for await (const part of stream as AsyncIterable<Buffer>) {
        bytes += part.length;
        if (kept < PREFIX_BYTES) {
          parts.push(part);
          kept += part.length;
        }
        yield part;
      }
      inspected(inspectInitrd(BoundedBytes.ofPrefix(Buffer.concat(parts), bytes === kept), hints));
    }
    this.source = Readable.from(passOn());
  }
}
