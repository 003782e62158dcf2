const SPACE = 0x20;
const MINUS = 0x2d;
const PLUS = 0x2b;
const ZERO = 0x30;
/** Words that are kept: more than a line of any command may have. */
const WORDS_MAX = 24;
const U64_MAX = 0xffffffffffffffffn;

/** The space-separated words of one line; points into the line, copies nothing. */
export class Words {
  bytes: Uint8Array = new Uint8Array(0);
  /** How many words the line has; those beyond WORDS_MAX are counted, but not kept. */
  count = 0;
  private readonly bounds = new Uint32Array(2 * WORDS_MAX);

  split(bytes: Uint8Array, from: number, to: number): void {
    this.bytes = bytes;
    this.count = 0;
    let at = from;
    while (at < to) {
      while (at < to && bytes[at] === SPACE) at++;
      if (at === to) return;
      const start = at;
      while (at < to && bytes[at] !== SPACE) at++;
      if (this.count < WORDS_MAX) {
        this.bounds[2 * this.count] = start;
        this.bounds[2 * this.count + 1] = at;
      }
      this.count++;
    }
  }

  start(index: number): number {
    return this.bounds[2 * index]!;
  }

  end(index: number): number {
    return this.bounds[2 * index + 1]!;
  }

  is(index: number, text: string): boolean {
    if (index >= this.count || index >= WORDS_MAX) return false;
    return matches(this.bytes, this.start(index), this.end(index), text);
  }

  isOneOf(index: number, texts: readonly string[]): boolean {
    return texts.some((text) => this.is(index, text));
  }

  /** The word from its byte `from` on as a whole number of at most 15 digits, with or without a sign; NaN when it is none. */
  integer(index: number, from = 0): number {
    return parseInteger(this.bytes, this.start(index) + from, this.end(index));
  }

  /** The word from its byte `from` on as an unsigned 64-bit number, or null when it is none. */
  unsigned64(index: number, from = 0): bigint | null {
    const text = this.text(index).slice(from);
    if (!/^\+?\d{1,20}$/.test(text)) return null;
    const value = BigInt(text.replace('+', ''));
    return value > U64_MAX ? null : value;
  }

  text(index: number): string {
    const { buffer, byteOffset } = this.bytes;
    const start = this.start(index);
    return Buffer.from(buffer, byteOffset + start, this.end(index) - start).toString('latin1');
  }
}

export function matches(bytes: Uint8Array, from: number, to: number, text: string): boolean {
  if (to - from !== text.length) return false;
  for (let i = 0; i < text.length; i++) {
    if (bytes[from + i] !== text.charCodeAt(i)) return false;
  }
  return true;
}

/** `bytes[from, to)` as a whole number of at most 15 digits, with or without a sign; NaN when it is none. */
export function parseInteger(bytes: Uint8Array, from: number, to: number): number {
  const sign = bytes[from];
  const first = from < to && (sign === MINUS || sign === PLUS) ? from + 1 : from;
  if (first >= to || to - first > 15) return Number.NaN;
  let value = 0;
  for (let i = first; i < to; i++) {
    const digit = bytes[i]! - ZERO;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = value * 10 + digit;
  }
  return sign === MINUS ? 0 - value : value;
}
