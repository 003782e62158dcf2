import { TextParser } from '../../server/protocol/text-parser.js';
import { checkParser } from './parser-check.js';

/** The text protocol: the classic commands. */
export function fuzz(input: Buffer): void {
  checkParser({ keys: 'text', make: (handler) => new TextParser(handler) }, input);
}
