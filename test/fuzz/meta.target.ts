import { TextParser } from '../../server/protocol/text-parser.js';
import { checkParser } from './parser-check.js';

const LF = 0x0a;
const M = 0x6d;

/** The meta commands: every line begins with their letter. */
export function fuzz(input: Buffer): void {
  const lines: number[] = [M];
  for (const byte of input) {
    lines.push(byte);
    if (byte === LF) lines.push(M);
  }
  checkParser({ keys: 'text', make: (handler) => new TextParser(handler) }, Uint8Array.from(lines));
}
