import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const OUTPUT_BYTES_MAX = 64 << 20;

/** Whether the tool of a command line such as `xz --check=crc32` is installed. */
export function canPack(commandLine: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${commandLine.split(' ')[0]}`]).status === 0;
}

/** What a packing tool makes of bytes. It reads a pipe; pzstd, which reads only files at their size, a file. */
export function pack(commandLine: string, bytes: Buffer): Buffer {
  const [command, ...args] = commandLine.split(' ') as [string, ...string[]];
  if (command !== 'pzstd') {
    const stdio: ('pipe' | 'ignore')[] = ['pipe', 'pipe', 'ignore'];
    return execFileSync(command, [...args, '-c'], { input: bytes, maxBuffer: OUTPUT_BYTES_MAX, stdio });
  }
  const folder = mkdtempSync(join(tmpdir(), 'volley-pack-'));
  try {
    const path = join(folder, 'content');
    writeFileSync(path, bytes);
    execFileSync(command, [...args, path, '-o', `${path}.zst`], { stdio: 'ignore' });
    return readFileSync(`${path}.zst`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
