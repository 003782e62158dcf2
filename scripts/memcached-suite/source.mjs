// memcached's source, fetched from Debian with `apt-get source` and kept in .cache/memcached-suite, never in the tree.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

const FETCH_TIMEOUT_MS = 120_000;
/** Debian's keys, which a system may have put elsewhere. */
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

function run(command, args, options = {}) {
  return execFileSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: FETCH_TIMEOUT_MS,
    ...options,
  });
}

/** deb-src lines for where this system has its packages from, but for security updates: they change no test. */
function sourceLines() {
  const format = '$(REPO_URI) $(CODENAME) $(COMPONENT) $(SIGNED_BY)';
  const targets = run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']).split('\n');
  const lines = targets
    .filter((target) => /debian\.org\/debian\/? |\/debian\/? /.test(target))
    .map((target) => {
      const [uri, codename, component, told] = target.split(' ');
      // Some versions of apt leave the word as it is.
      const signedBy = told?.startsWith('/') ? told : KEYRING;
      return `deb-src ${existsSync(signedBy) ? `[signed-by=${signedBy}] ` : ''}${uri} ${codename} ${component}`;
    });
  if (lines.length === 0) throw new Error('apt knows of no Debian archive');
  return [...new Set(lines)];
}

/** Fetches and unpacks the source into `folder`, with lists and cache of its own: the system's apt stays as it is. */
function fetchInto(folder) {
  mkdirSync(join(folder, 'lists', 'partial'), { recursive: true });
  mkdirSync(join(folder, 'archives', 'partial'), { recursive: true });
  writeFileSync(join(folder, 'sources.list'), `${sourceLines().join('\n')}\n`);
  const options = {
    'Dir::Etc::SourceList': join(folder, 'sources.list'),
    'Dir::Etc::SourceParts': '/nonexistent',
    'Dir::State::Lists': join(folder, 'lists'),
    'Dir::Cache': folder,
    'APT::Sandbox::User': run('id', ['-un']).trim(),
  };
  const apt = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  run('apt-get', [...apt, 'update', '-qq']);
  run('apt-get', [...apt, 'source', '-qq', '--download-only', 'memcached'], { cwd: folder });
  const archive = readdirSync(folder).find((name) => /^memcached_.*\.orig\.tar\.\w+$/.test(name));
  mkdirSync(join(folder, 'src'));
  run('tar', ['-xf', join(folder, archive), '-C', join(folder, 'src'), '--strip-components=1']);
}

/** The folder with the unpacked source; fetches it when it is not there yet. Throws with one line when it cannot be had. */
export function memcachedSource(cache) {
  const source = join(cache, 'src');
  if (existsSync(join(source, 't'))) return source;
  const scratch = `${cache}.${process.pid}`;
  try {
    fetchInto(scratch);
    rmSync(cache, { recursive: true, force: true });
    renameSync(scratch, cache);
  } catch (error) {
    rmSync(scratch, { recursive: true, force: true });
    const said = String(error.stderr ?? '')
      .trim()
      .split('\n')
      .at(-1);
    throw new Error(`memcached's source cannot be fetched with apt-get source: ${said || error.message}`);
  }
  return source;
}

/**
 * A folder in which the suite runs as it would in memcached's build folder: its tests, `server` in the place of the
 * memcached that they start, and the program that ends servers which a test forgot.
 */
export function buildFolder(source, folder, server) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const part of ['t', 'doc']) cpSync(join(source, part), join(folder, part), { recursive: true });
  const memcached = join(folder, 'memcached-debug');
  writeFileSync(memcached, `#!/bin/sh\nexec '${process.execPath}' '${server}' "$@"\n`, { mode: 0o755 });
  run('cc', ['-o', join(folder, 'timedrun'), join(source, 'timedrun.c')]);
  // A node reads no auth file that others may read.
  const authFiles = readdirSync(join(folder, 't')).filter((name) => name.startsWith('authfile'));
  for (const name of authFiles) chmodSync(join(folder, 't', name), 0o600);
  letTimePass(join(folder, 't', 'lib', 'MemcachedTest.pm'));
}

/** memcached's debug build moves its clock when it is told to; here the time is waited for. */
function letTimePass(library) {
  const text = readFileSync(library, 'utf8');
  const moved = text.replace(/print \$sock "debugtime \$move\\r\\n";\n\s*<\$sock>;/, 'sleep($move);');
  if (moved === text) throw new Error(`${library} moves the clock in a way that is not known`);
  writeFileSync(library, moved);
}

/** The version of the source, such as `1.6.18`. */
export function versionOf(source) {
  return /VERSION_NUMBER\], \[([\d.]+)/.exec(readFileSync(join(source, 'version.m4'), 'utf8'))[1];
}
