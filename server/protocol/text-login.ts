import type { CommandHandler, LoginRequest, Parser } from './commands.js';
import { LINE_BYTES_MAX, type TextParser } from './text-parser.js';
import { Words } from './text-words.js';

/** Longest value of the set that authenticates: far more than any user and password. */
const VALUE_BYTES_MAX = 1024;
const END_BYTES = 2;
const LF = 0x0a;
const CR = 0x0d;
const NOTHING = new Uint8Array(0);

/**
 * memcached's authentication in the text protocol: the first command is a `set` of any key whose value is user and
 * password with a blank between them; anything else is refused, line by line. Behind it the classic protocol goes on.
 */
export class TextLogin implements Parser {
  /** What the next byte belongs to. */
  private state: 'line' | 'value' | 'ended' = 'line';
  /** The line or value that has begun. */
  private readonly carry = Buffer.alloc(LINE_BYTES_MAX + 1);
  private carried = 0;
  /** Bytes of the value, with its CR LF. */
  private valueBytes = 0;
  private readonly words = new Words();
  private readonly request: LoginRequest = {
    opcode: 0,
    opaque: 0,
    quiet: false,
    user: NOTHING,
    password: NOTHING,
  };

  constructor(
    private readonly handler: CommandHandler,
    private readonly commands: TextParser,
  ) {}

  get midCommand(): boolean {
    return this.state !== 'line' || this.carried > 0 || this.commands.midCommand;
  }

  feed(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (this.handler.locked && !this.handler.paused && at < end) {
      if (this.state === 'line') at = this.takeLine(bytes, at, end);
      else if (this.state === 'value') at = this.takeValue(bytes, at, end);
      else at = end;
    }
    return this.handler.locked ? at : this.commands.feed(bytes, at, end);
  }

  private takeLine(bytes: Uint8Array, at: number, end: number): number {
    const index = bytes.indexOf(LF, at);
    const next = index < 0 || index >= end ? end : index + 1;
    if (this.carried + next - at > this.carry.length) {
      this.state = 'ended';
      this.handler.refuse(this.request, 'locked');
      return end;
    }
    this.carry.set(bytes.subarray(at, next), this.carried);
    this.carried += next - at;
    if (this.carry[this.carried - 1] === LF) this.dispatch();
    return next;
  }

  private dispatch(): void {
    let end = this.carried - 1;
    if (end > 0 && this.carry[end - 1] === CR) end--;
    this.words.split(this.carry, 0, end);
    this.carried = 0;
    const length = this.words.count >= 5 && this.words.is(0, 'set') ? this.words.integer(4) : Number.NaN;
    if (!(length >= 0)) {
      this.handler.refuse(this.request, 'unauthenticated');
    } else if (length > VALUE_BYTES_MAX) {
      this.state = 'ended';
      this.handler.refuse(this.request, 'locked');
    } else {
      this.state = 'value';
      this.valueBytes = length + END_BYTES;
    }
  }

  private takeValue(bytes: Uint8Array, at: number, end: number): number {
    const count = Math.min(this.valueBytes - this.carried, end - at);
    this.carry.set(bytes.subarray(at, at + count), this.carried);
    this.carried += count;
    if (this.carried === this.valueBytes) {
      this.carried = 0;
      this.state = 'line';
      this.authenticate(this.valueBytes - END_BYTES);
    }
    return at + count;
  }

  private authenticate(length: number): void {
    const { carry, words, request, handler } = this;
    if (carry[length] !== CR || carry[length + 1] !== LF) {
      handler.refuse(request, 'termination');
      return;
    }
    words.split(carry, 0, length);
    if (words.count < 2) {
      handler.refuse(request, 'token');
      return;
    }
    request.user = carry.subarray(words.start(0), words.end(0));
    request.password = carry.subarray(words.start(1), words.end(1));
    handler.login(request);
    carry.fill(0);
  }
}
