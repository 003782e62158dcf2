import { formatBytes } from '../../src/units.js';
import type { InitrdFormat } from './formats.js';

/** What makes Linux refuse an initrd, in words: each says what was found and what to do. */

const refuses = (found: string, remedy: string) => `Linux will not unpack this initrd: ${found}; ${remedy}`;

const XZ_CHECKS: Record<number, string> = { 4: 'crc64', 10: 'sha256' };

export function empty(bytes: number): string {
  return refuses(bytes === 0 ? 'it is empty' : 'it holds nothing but zeros', 'make it with cpio -o -H newc');
}

export function unknown(at: number): string {
  const found = `at byte ${at} there is neither a cpio archive nor one packed in a way that it knows`;
  return refuses(found, 'make it with cpio -o -H newc, and pack it with gzip, xz --check=crc32 or zstd');
}

export function odc(): string {
  return refuses("its archive is in cpio's odc format", 'make it with cpio -o -H newc');
}

export function crc(): string {
  const found =
    "its archive is in cpio's crc format, which kernels before 5.19 do not take, and later ones only";
  return refuses(`${found} up to the first wrong sum`, 'make it with cpio -o -H newc');
}

export function lz4Frame(): string {
  return refuses('it is packed in LZ4 frames', 'pack it with lz4 -l');
}

export function xzCheck(check: number): string {
  const name = XZ_CHECKS[check] ?? `of kind ${check}`;
  return refuses(`it is packed by xz with check ${name}`, 'pack it with xz --check=crc32');
}

export function zstdWindow(bytes: number): string {
  const found = `it is packed by zstd with a window of ${formatBytes(bytes)}, and 128 MiB is the most`;
  return refuses(found, 'pack it with zstd --long=27 or less');
}

export function skippable(): string {
  return refuses('it holds skippable zstd frames, as pzstd writes them', 'pack it with zstd -T0');
}

export function goesOn(format: InitrdFormat, at: number): string {
  const found = `its archive goes on in another ${format} member, at byte ${at}, and each must hold whole archives`;
  return refuses(found, 'pack the whole archive at once');
}

export function brokenPadding(at: number): string {
  const found = `behind an archive it goes on at byte ${at}, which is no multiple of 4`;
  return refuses(found, 'fill up each archive with zeros to a multiple of 4 before the next');
}
