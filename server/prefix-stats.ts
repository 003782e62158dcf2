import { isKey } from './protocol/commands.js';

/** Prefixes that are counted; keys of further ones are not. */
const PREFIXES_MAX = 1024;

interface PrefixCount {
  gets: number;
  hits: number;
  sets: number;
  deletes: number;
}

/** What `stats detail` tells: how often keys of a prefix (what is before the first delimiter) are asked for. */
export class PrefixStats {
  private readonly counts = new Map<string, PrefixCount>();
  private readonly delimiterByte: number;

  /** @param delimiter one character of ASCII */
  constructor(
    readonly delimiter = ':',
    public enabled = false,
  ) {
    this.delimiterByte = delimiter.charCodeAt(0);
  }

  /** `count` is added to for the key `bytes[start, end)`, if it has a prefix. */
  private of(bytes: Uint8Array, start: number, end: number): PrefixCount | undefined {
    const prefixEnd = bytes.indexOf(this.delimiterByte, start);
    if (prefixEnd < 0 || prefixEnd >= end) return undefined;
    // The binary protocol may name keys that would break the lines of the text protocol.
    if (prefixEnd > start && !isKey(bytes, start, prefixEnd)) return undefined;
    const prefix = Buffer.from(bytes.buffer, bytes.byteOffset + start, prefixEnd - start).toString('latin1');
    let count = this.counts.get(prefix);
    if (!count && this.counts.size < PREFIXES_MAX) {
      count = { gets: 0, hits: 0, sets: 0, deletes: 0 };
      this.counts.set(prefix, count);
    }
    return count;
  }

  noteGet(bytes: Uint8Array, start: number, end: number, isHit: boolean): void {
    const count = this.of(bytes, start, end);
    if (!count) return;
    count.gets++;
    if (isHit) count.hits++;
  }

  noteSet(bytes: Uint8Array, start: number, end: number): void {
    const count = this.of(bytes, start, end);
    if (count) count.sets++;
  }

  noteDelete(bytes: Uint8Array, start: number, end: number): void {
    const count = this.of(bytes, start, end);
    if (count) count.deletes++;
  }

  clear(): void {
    this.counts.clear();
  }

  /** A line per prefix, as memcached's `stats detail dump` has it. */
  lines(): string[] {
    return [...this.counts].map(
      ([prefix, { gets, hits, sets, deletes }]) =>
        `PREFIX ${prefix} get ${gets} hit ${hits} set ${sets} del ${deletes}\r\n`,
    );
  }
}
