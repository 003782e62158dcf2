import { VolleyError } from '../src/errors.js';

/** A piece of guest RAM: guest physical address, length, and where it lies in the memory backend. */
export interface RamRange {
  address: number;
  bytes: number;
  offset: number;
}

const FOUR_GIB = 2 ** 32;
const RANGES_MAX = 64;

/** Where the guest sees the memory backend: the answer of QEMU's monitor to `info mtree -f`, read. */
export class MemoryLayout {
  /** Sorted by address; neighbours that continue each other are one. */
  readonly ranges: readonly RamRange[];

  constructor(ranges: RamRange[]) {
    const sorted = ranges.toSorted((a, b) => a.address - b.address);
    const merged: RamRange[] = [];
    for (const range of sorted) {
      const before = merged.at(-1);
      const gap = before ? range.address - (before.address + before.bytes) : 0;
      if (before && gap === 0 && range.offset === before.offset + before.bytes) before.bytes += range.bytes;
      else merged.push({ ...range });
    }
    this.ranges = merged;
  }

  /**
   * @param text what `info mtree -f` printed
   * @param backend the memory backend's id
   * @param backendBytes its size, which no range may pass
   * @throws VolleyError ERR_VOLLEY_QEMU when the text does not tell the layout
   */
  static parse(text: string, backend: string, backendBytes: number): MemoryLayout {
    const view = text.split(/^FlatView #\d+\s*$/m).find((part) => /^ AS "memory",/m.test(part));
    if (view === undefined) throw layoutError('has no flat view of the address space "memory"');
    const line = /^ +([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, ram\): (\S+)(?: @([0-9a-f]{16}))?/gm;
    const ranges: RamRange[] = [];
    for (const match of view.matchAll(line)) {
      if (match[3] !== backend) continue;
      const [first, last] = [Number.parseInt(match[1]!, 16), Number.parseInt(match[2]!, 16)];
      const range = { address: first, bytes: last - first + 1, offset: Number.parseInt(match[4] ?? '0', 16) };
      if (range.bytes <= 0 || range.offset + range.bytes > backendBytes) {
        throw layoutError(`puts ${match[0].trim()} outside the ${backendBytes} bytes of guest memory`);
      }
      ranges.push(range);
      if (ranges.length > RANGES_MAX) throw layoutError('has too many ranges');
    }
    if (ranges.length === 0) throw layoutError(`does not show the memory backend ${backend}`);
    return new MemoryLayout(ranges);
  }

  /** The range that holds this address, or undefined. */
  rangeAt(address: number): RamRange | undefined {
    return this.ranges.find((range) => address >= range.address && address < range.address + range.bytes);
  }

  /** Ranges from 4 GiB on. */
  get above4G(): readonly RamRange[] {
    return this.ranges.filter((range) => range.address >= FOUR_GIB);
  }

  /**
   * Offset in the memory backend of the guest physical bytes [address, address + bytes).
   * @throws VolleyError ERR_VOLLEY_MEMORY when not all of them are RAM
   */
  offsetOf(address: number, bytes: number): number {
    const range = this.rangeAt(address);
    if (!range || address + bytes > range.address + range.bytes) {
      const where = `${bytes} bytes at guest address 0x${address.toString(16)}`;
      throw new VolleyError(
        'ERR_VOLLEY_MEMORY',
        `${where} are not guest RAM; give the guest more with --memory`,
      );
    }
    return range.offset + (address - range.address);
  }
}

function layoutError(why: string): VolleyError {
  return new VolleyError(
    'ERR_VOLLEY_QEMU',
    `QEMU's memory map (info mtree -f) ${why}; is this a stock QEMU?`,
  );
}
