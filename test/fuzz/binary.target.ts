import { BinaryParser } from '../../server/protocol/binary-parser.js';
import type { CommandHandler } from '../../server/protocol/commands.js';
import { checkParser } from './parser-check.js';

const make = (handler: CommandHandler) => new BinaryParser(handler);

/** The binary protocol, to a node that is open to all and to one that asks for authentication. */
export function fuzz(input: Buffer): void {
  checkParser({ keys: 'any', make }, input);
  checkParser({ keys: 'any', make, locked: true }, input);
}
