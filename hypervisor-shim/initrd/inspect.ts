import { open, stat } from 'node:fs/promises';
import { pathOf } from '../../src/file-path.js';
import { BoundedBytes, BudgetSpent } from './bounded-bytes.js';
import { endOfArchive } from './cpio-walk.js';
import { formatOf, type InitrdFormat, isArchive } from './formats.js';
import { endOfMember, zstdWindowBytes } from './members.js';
import { unpackedHead } from './unpacked-head.js';
import * as words from './warnings.js';

const ZSTD_WINDOW_BYTES_MAX = 128 << 20;
/** Archives behind each other: two are usual, hundreds are no initrd. */
const PARTS_MAX = 256;
/** A file that is not said to be an initrd shows it by then. */
const FIRST_BYTES = 4096;
const BOOTCONFIG = '#BOOTCONFIG\n';

export interface InitrdInspection {
  /** What it is made of, part after part, as far as that was seen; empty when it is no initrd. */
  parts: InitrdFormat[];
  /** Why Linux would not unpack it, each in one line with its remedy. */
  warnings: string[];
}

export const NO_INITRD: InitrdInspection = { parts: [], warnings: [] };

/** What is known of a file beside its content. */
export interface InitrdHints {
  /** The user says that it is an initrd. */
  isInitrd: boolean;
  name: string;
}

/**
 * Looks for what would make Linux refuse an initrd. Whether a file is one shows by its content: it begins with a cpio
 * archive, packed or not; of other files nothing is said, but of an empty one that is named so. Reads the head of each
 * part, and what lies between only where its end does not show otherwise.
 * @throws the system's errors when the file cannot be read
 */
export async function inspectInitrdFile(path: string, hints: InitrdHints): Promise<InitrdInspection> {
  // A pipe's bytes come once.
  if (!(await stat(pathOf(path))).isFile()) return NO_INITRD;
  const file = await open(pathOf(path), 'r');
  try {
    const { size } = await file.stat();
    if (size === 0 && (await file.read(Buffer.alloc(1))).bytesRead > 0) return NO_INITRD; // procfs: its size is not known
    return await inspectInitrd(BoundedBytes.ofFile(file, size), hints);
  } finally {
    await file.close();
  }
}

/** The same for bytes that are at hand. */
export async function inspectInitrd(bytes: BoundedBytes, hints: InitrdHints): Promise<InitrdInspection> {
  const isNamedSo = bytes.length === 0 && bytes.isComplete && /initr(d|amfs)/i.test(hints.name);
  const isInitrd = hints.isInitrd || isNamedSo;
  const inspection = new Inspection(bytes, isInitrd);
  try {
    await inspection.run();
  } catch (error) {
    // What was found until then holds.
    if (!(error instanceof BudgetSpent)) throw error;
  }
  const { isInitrd: is, parts, warnings } = inspection;
  return is ? { parts, warnings } : NO_INITRD;
}

class Inspection implements InitrdInspection {
  readonly parts: InitrdFormat[] = [];
  readonly warnings: string[] = [];
  readonly #bytes: BoundedBytes;
  isInitrd: boolean;
  #end = 0;

  constructor(bytes: BoundedBytes, isInitrd: boolean) {
    this.#bytes = bytes;
    this.isInitrd = isInitrd;
  }

  async run(): Promise<void> {
    this.#end = await this.#endOfArchives();
    let at: number | undefined = await this.#bytes.skipZeros(0, this.isInitrd ? this.#end : FIRST_BYTES);
    if (at >= this.#end && this.#bytes.isComplete) this.warnings.push(words.empty(this.#end));
    let archiveEnd: number | undefined;
    while (
      at !== undefined &&
      at < this.#end &&
      this.parts.length < PARTS_MAX &&
      this.warnings.length === 0
    ) {
      if (archiveEnd !== undefined && at % 4 !== 0) {
        this.warnings.push(words.brokenPadding(at));
        return;
      }
      const end: number | undefined = await this.#inspectPart(at);
      archiveEnd = isArchive(await this.#bytes.read(at, 16)) ? end : undefined;
      at = end === undefined ? undefined : await this.#bytes.skipZeros(end, this.#end);
    }
  }

  /** Returns where the part ends, or undefined when the rest cannot be judged. */
  async #inspectPart(at: number): Promise<number | undefined> {
    const head = await this.#bytes.read(at, 64);
    const format = formatOf(head);
    if (format === undefined) {
      if (this.isInitrd) this.warnings.push(words.unknown(at));
      return undefined;
    }
    if (isArchive(head)) return this.#inspectArchive(at, format);
    return this.#inspectPacked(at, head, format);
  }

  async #inspectArchive(at: number, format: InitrdFormat): Promise<number | undefined> {
    this.isInitrd = true;
    this.parts.push(format);
    if (at % 4 !== 0) this.warnings.push(words.brokenPadding(at));
    else if (format === 'odc') this.warnings.push(words.odc());
    else if (format === 'crc') this.warnings.push(words.crc());
    return format === 'odc' ? undefined : endOfArchive(this.#bytes, at);
  }

  async #inspectPacked(at: number, head: Buffer, format: InitrdFormat): Promise<number | undefined> {
    const contentAt = format === 'zstd-skippable' ? await endOfMember(this.#bytes, at, format) : at;
    const contentFormat = format === 'zstd-skippable' ? 'zstd' : format;
    const content =
      contentAt === undefined ? undefined : await unpackedHead(this.#bytes, contentAt, contentFormat);
    const holdsArchive = content !== undefined && isArchive(content);
    const goesOn = this.parts.length > 0 && content !== undefined && !holdsArchive && content[0] !== 0;
    if (holdsArchive) this.isInitrd = true;
    if (!this.isInitrd) return undefined;
    this.parts.push(format);
    const fault = faultOfPacking(format, head);
    if (fault) this.warnings.push(fault);
    else if (goesOn) this.warnings.push(words.goesOn(format, at));
    else if (content !== undefined && formatOf(content) === 'odc') this.warnings.push(words.odc());
    else if (content !== undefined && formatOf(content) === 'crc') this.warnings.push(words.crc());
    return endOfMember(this.#bytes, at, format);
  }

  /** A boot configuration may follow the archives; the kernel cuts it off. */
  async #endOfArchives(): Promise<number> {
    const { length } = this.#bytes;
    if (!this.#bytes.isComplete || length < 20) return length;
    const tail = await this.#bytes.read(length - 20, 20);
    if (tail.toString('latin1', 8) !== BOOTCONFIG) return length;
    return Math.max(0, length - 20 - tail.readUInt32LE(0));
  }
}

/** What Linux does not unpack of this format, whatever it holds. */
function faultOfPacking(format: InitrdFormat, head: Buffer): string | undefined {
  if (format === 'lz4-frame') return words.lz4Frame();
  if (format === 'zstd-skippable') return words.skippable();
  if (format === 'xz' && head.length > 7 && (head[7]! & 15) > 1) return words.xzCheck(head[7]! & 15);
  if (format === 'zstd' && head.length >= 18) {
    const window = zstdWindowBytes(head);
    if (window > ZSTD_WINDOW_BYTES_MAX) return words.zstdWindow(window);
  }
  return undefined;
}
