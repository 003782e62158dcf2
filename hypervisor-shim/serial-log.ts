/** Longest line kept; the rest of a longer one is dropped. */
const LINE_BYTES_MAX = 4096;
/** Last lines kept. */
const LINES_MAX = 2000;
const NEWLINE = 0x0a;

interface Marker {
  text: Buffer;
  onFound: () => void;
}

/** A guest's serial output: its last lines, and a look-out for markers, wherever the pieces that come are cut. */
export class SerialLog {
  readonly #lines: string[] = [];
  #partial: Buffer[] = [];
  #partialBytes = 0;
  #markers: Marker[] = [];
  readonly #kept = new Map<string, string | undefined>();
  /** The last bytes of what came before: a marker may begin in them. */
  #tail: Buffer = Buffer.alloc(0);

  /** Calls `onFound` once, when `text` has come; what came before the call is not searched. */
  watch(text: string, onFound: () => void): void {
    this.#markers.push({ text: Buffer.from(text, 'utf8'), onFound });
  }

  /** Keeps the first whole line with `text` in it, however many follow. */
  keepLine(text: string): void {
    this.#kept.set(text, undefined);
  }

  /** The line that keepLine() asked for, or undefined. */
  keptLine(text: string): string | undefined {
    return this.#kept.get(text);
  }

  feed(bytes: Buffer): void {
    this.#search(bytes);
    let start = 0;
    for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, start)) {
      this.#keep(bytes.subarray(start, at));
      this.#endLine();
      start = at + 1;
    }
    this.#keep(bytes.subarray(start));
  }

  /** The last lines, at most LINES_MAX of at most LINE_BYTES_MAX bytes, the unfinished one included. */
  lines(): string[] {
    return this.#partialBytes > 0 ? [...this.#lines, this.#partialText()] : [...this.#lines];
  }

  /** The last line with something in it, or ''. */
  lastLine(): string {
    return this.lines().findLast((line) => line !== '') ?? '';
  }

  #search(bytes: Buffer): void {
    if (this.#markers.length === 0) return;
    const window = this.#tail.length > 0 ? Buffer.concat([this.#tail, bytes]) : bytes;
    const found = this.#markers.filter((marker) => window.includes(marker.text));
    this.#markers = this.#markers.filter((marker) => !found.includes(marker));
    for (const marker of found) marker.onFound();
    const keep = Math.max(0, ...this.#markers.map((marker) => marker.text.length - 1));
    this.#tail = Buffer.from(window.subarray(Math.max(0, window.length - keep)));
  }

  #keep(bytes: Buffer): void {
    const room = Math.min(bytes.length, LINE_BYTES_MAX - this.#partialBytes);
    if (room <= 0) return;
    this.#partial.push(Buffer.from(bytes.subarray(0, room)));
    this.#partialBytes += room;
  }

  #endLine(): void {
    const line = this.#partialText();
    for (const [text, kept] of this.#kept) {
      if (kept === undefined && line.includes(text)) this.#kept.set(text, line);
    }
    this.#lines.push(line);
    if (this.#lines.length > LINES_MAX) this.#lines.shift();
    this.#partial = [];
    this.#partialBytes = 0;
  }

  #partialText(): string {
    return Buffer.concat(this.#partial).toString('utf8').trimEnd();
  }
}
