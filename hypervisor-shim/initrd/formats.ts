/** What an initrd, or a part of one, can begin with. */
export type InitrdFormat =
  | 'newc'
  | 'crc'
  | 'odc'
  | 'gzip'
  | 'bzip2'
  | 'lzma'
  | 'xz'
  | 'lzo'
  | 'lz4-legacy'
  | 'lz4-frame'
  | 'zstd'
  | 'zstd-skippable';

const MAGICS: [InitrdFormat, string][] = [
  ['newc', '303730373031'],
  ['crc', '303730373032'],
  ['odc', '303730373037'],
  ['gzip', '1f8b08'],
  ['bzip2', '425a68'],
  ['lzma', '5d0000'],
  ['xz', 'fd377a585a00'],
  ['lzo', '894c5a4f000d0a1a0a'],
  ['lz4-legacy', '02214c18'],
  ['lz4-frame', '04224d18'],
  ['zstd', '28b52ffd'],
];

/** The format of what begins with these bytes, or undefined. */
export function formatOf(head: Buffer): InitrdFormat | undefined {
  const start = head.toString('hex', 0, 16);
  if (/^5[0-9a-f]2a4d18/.test(start)) return 'zstd-skippable';
  return MAGICS.find(([, magic]) => start.startsWith(magic))?.[0];
}

/** Whether the bytes begin an archive as cpio writes it, in a format that Linux takes or not. */
export function isArchive(head: Buffer): boolean {
  const format = formatOf(head);
  return format === 'newc' || format === 'crc' || format === 'odc';
}
