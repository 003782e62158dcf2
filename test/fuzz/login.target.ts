import { TextLogin } from '../../server/protocol/text-login.js';
import { TextParser } from '../../server/protocol/text-parser.js';
import { checkParser } from './parser-check.js';

/** The text protocol of a node that asks for user and password first. */
export function fuzz(input: Buffer): void {
  const subject = {
    keys: 'text',
    locked: true,
    make: (handler: ConstructorParameters<typeof TextParser>[0]) =>
      new TextLogin(handler, new TextParser(handler)),
  } as const;
  checkParser(subject, input);
}
