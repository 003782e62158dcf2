import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** newc and crc are what cpio calls them; odc is the old portable format. */
export type CpioFormat = 'newc' | 'crc' | 'odc';

export interface CpioEntry {
  name: string;
  mode?: number;
  data?: Buffer;
}

const TRAILER: CpioEntry = { name: 'TRAILER!!!', mode: 0 };

/** A cpio archive of these entries, trailer included, in memory. */
export function cpioArchive(entries: readonly CpioEntry[], format: CpioFormat = 'newc'): Buffer {
  const encode = format === 'odc' ? odcEntry : (entry: CpioEntry, i: number) => newcEntry(entry, i, format);
  return Buffer.concat([...entries, TRAILER].map(encode));
}

/** Entries of an initrd whose init runs this shell script and switches the machine off. */
export function initrdEntries(script: string): CpioEntry[] {
  const busybox = execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'latin1' }).trim();
  const init = `#!/bin/busybox sh\n${script}\n/bin/busybox poweroff -f\n`;
  return [
    { name: 'bin', mode: 0o40755 },
    { name: 'proc', mode: 0o40755 },
    { name: 'bin/busybox', mode: 0o100755, data: readFileSync(busybox) },
    { name: 'init', mode: 0o100755, data: Buffer.from(init) },
  ];
}

function newcEntry({ name, mode = 0o100644, data = Buffer.alloc(0) }: CpioEntry, i: number, format: string) {
  const sum = format === 'crc' ? data.reduce((total, byte) => (total + byte) >>> 0, 0) : 0;
  const fields = [i + 1, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, sum];
  const digits = fields.map((field) => field.toString(16).padStart(8, '0')).join('');
  const magic = format === 'crc' ? '070702' : '070701';
  return Buffer.concat([padded(Buffer.from(`${magic}${digits}${name}\0`, 'latin1')), padded(data)]);
}

function odcEntry({ name, mode = 0o100644, data = Buffer.alloc(0) }: CpioEntry, i: number): Buffer {
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, '0');
  const numbers = [0, i + 1, mode, 0, 0, 1, 0].map((value) => octal(value, 6)).join('');
  const sizes = `${octal(0, 11)}${octal(name.length + 1, 6)}${octal(data.length, 11)}`;
  return Buffer.concat([Buffer.from(`070707${numbers}${sizes}${name}\0`, 'latin1'), data]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
