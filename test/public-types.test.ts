import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../src/root.js';
import { TestProcess } from './support/processes.js';

const test = suite('public types');
const RELEASE = join('test', 'fixtures', '0.1.0');
/** The exported entries of package.json, as folders and files of dist/ and of the last release's types. */
const ENTRIES = ['client/index', 'server/index', 'hypervisor-shim/index', 'src/errors'] as const;
const OPTIONS = [
  '--ignoreConfig',
  '--noEmit',
  '--strict',
  '--skipLibCheck',
  '--module',
  'nodenext',
  '--target',
  'es2022',
];
const COMPILE_TIMEOUT_MS = 120_000;

/** Compiles a file of the root, or of a folder that is laid out like it. Returns what the compiler complains of. */
async function complaints(folder: string, file: string): Promise<string> {
  const compiler = join(ROOT, 'node_modules', '.bin', 'tsc');
  const args = [...OPTIONS, '--types', 'node', join(folder, file)];
  const run = new TestProcess('sh', ['-c', 'cd "$0" && exec "$@"', folder, compiler, ...args]);
  await run.ended(COMPILE_TIMEOUT_MS);
  return run.stdout + run.stderr;
}

/** Copies what the check compiles, with one entry of this version changed. */
async function withChanged(
  file: string,
  change: (text: string) => string,
  work: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'volley-test-'));
  try {
    for (const part of ['client', 'server', 'hypervisor-shim', 'src']) {
      const filter = (path: string) => !/\.(js|map)$/.test(path);
      cpSync(join(ROOT, 'dist', part), join(folder, 'dist', part), { recursive: true, filter });
    }
    mkdirSync(join(folder, RELEASE), { recursive: true });
    for (const part of ['types', 'public-types.ts'])
      cpSync(join(ROOT, RELEASE, part), join(folder, RELEASE, part), { recursive: true });
    cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const path = join(folder, 'dist', file);
    const text = readFileSync(path, 'utf8');
    assert.is.not(change(text), text, `${file} is not what the test takes it for`);
    writeFileSync(path, change(text));
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('what compiles with the types of the last release compiles with these', async () => {
  assert.is(await complaints(ROOT, join(RELEASE, 'public-types.ts')), '');
});

test('every name that an entry of the last release exports is checked', () => {
  const checks = readFileSync(join(ROOT, RELEASE, 'public-types.ts'), 'utf8');
  const names = ENTRIES.flatMap((entry) => {
    const text = readFileSync(join(ROOT, RELEASE, 'types', `${entry}.d.ts`), 'utf8');
    const listed = [...text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, list]) =>
      list!.split(','),
    );
    const declared = [...text.matchAll(/^export (?:declare )?(?:class|function|const|type) (\w+)/gm)];
    return [...listed.map((name) => name.replace('type ', '').trim()), ...declared.map(([, name]) => name!)];
  });
  assert.ok(names.length > 50, `${names.length} names`);
  for (const name of names) assert.match(checks, new RegExp(`\\b(Old|New)\\w+\\.${name}\\b`), name);
});

for (const [what, file, change, words] of [
  [
    'a name that is gone',
    'client/index.d.ts',
    (text: string) => text.replace('{ RemoveReport }', '{ RemoveReport as Other }'),
    'RemoveReport',
  ],
  [
    'a field that is gone from a report',
    'client/remove.d.ts',
    (text: string) => text.replace('removedBytes: number', 'freedBytes: number'),
    'removedBytes',
  ],
  [
    'an option that has to be given now',
    'client/upload/upload.d.ts',
    (text: string) => text.replace('chunkBytes?: number', 'chunkBytes: number'),
    'chunkBytes',
  ],
  [
    'a function that takes less',
    'client/inspect.d.ts',
    (text: string) =>
      text.replace(
        'nodes: readonly string[], timeoutMs: number',
        'nodes: readonly string[], timeoutMs: 5000',
      ),
    'takes something else',
  ],
] as const) {
  test(`${what} is noticed`, async () => {
    await withChanged(file, change, async (folder) => {
      assert.match(await complaints(folder, join(RELEASE, 'public-types.ts')), words);
    });
  });
}

test.run();
