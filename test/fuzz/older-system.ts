import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const VERNEED = 0x6ffffffe;
const VERNEED_ENTRIES = 0x6fffffff;
const STRING_TABLE = 5;
const DYNAMIC = 2;
const LOAD = 1;
const WEAK = 2;
/** What the published binary wants and glibc 2.36 and GCC 12 lack; compat.cc has the three functions behind them. */
const TOO_NEW = ['GLIBC_2.38', 'GLIBCXX_3.4.32'];

/** Whether this system's glibc is older than the one that @jazzer.js/fuzzer's binary was linked with. */
export function needsCompat(): boolean {
  const report = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  const [major, minor] = (report.header.glibcVersionRuntime ?? '2.38').split('.').map(Number);
  return major === 2 && minor! < 38;
}

/**
 * Makes @jazzer.js/core run on an older system: a copy of its packages whose binary no longer insists on the newer
 * versions (two flags in its ELF header's table of them), and a library to preload that has what it calls of them.
 * @param folder where both are put
 */
export function makeCompat(root: string, folder: string): { cli: string; preload: string } {
  const packages = dirname(
    dirname(dirname(createRequire(join(root, 'package.json')).resolve('@jazzer.js/core'))),
  );
  const modules = join(folder, 'node_modules');
  mkdirSync(modules, { recursive: true });
  cpSync(packages, join(modules, '@jazzer.js'), { recursive: true });
  const name = `fuzzer-${process.platform}-${process.arch}.node`;
  const binary = join(modules, '@jazzer.js', 'fuzzer', 'prebuilds', name);
  const bytes = readFileSync(binary);
  weaken(bytes);
  writeFileSync(binary, bytes);
  const preload = join(folder, 'compat.so');
  execFileSync('g++', ['-shared', '-fPIC', '-O2', '-o', preload, join(root, 'test', 'fuzz', 'compat.cc')]);
  return { cli: join(modules, '@jazzer.js', 'core', 'dist', 'cli.js'), preload };
}

/** Marks the versions that are too new as weak: the dynamic linker then goes on without them. 64-bit, little-endian. */
function weaken(elf: Buffer): void {
  const headers = Array.from({ length: elf.readUInt16LE(56) }, (_, i) => {
    const at = Number(elf.readBigUInt64LE(32)) + i * elf.readUInt16LE(54);
    const word = (offset: number) => Number(elf.readBigUInt64LE(at + offset));
    return { type: elf.readUInt32LE(at), offset: word(8), address: word(16), bytes: word(32) };
  });
  const place = (address: number) => {
    const load = headers.find(
      (one) => one.type === LOAD && address - one.address < one.bytes && address >= one.address,
    );
    return address - load!.address + load!.offset;
  };
  const dynamic = headers.find((one) => one.type === DYNAMIC)!;
  const entries = new Map<number, number>();
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.bytes; at += 16) {
    entries.set(Number(elf.readBigUInt64LE(at)), Number(elf.readBigUInt64LE(at + 8)));
  }
  const strings = place(entries.get(STRING_TABLE)!);
  let need = place(entries.get(VERNEED)!);
  for (let i = 0; i < entries.get(VERNEED_ENTRIES)!; i++) {
    let version = need + elf.readUInt32LE(need + 8);
    for (let j = 0; j < elf.readUInt16LE(need + 2); j++) {
      const text = strings + elf.readUInt32LE(version + 8);
      if (TOO_NEW.includes(elf.toString('latin1', text, elf.indexOf(0, text))))
        elf.writeUInt16LE(WEAK, version + 4);
      version += elf.readUInt32LE(version + 12);
    }
    need += elf.readUInt32LE(need + 12);
  }
}
