// Stands in for the memcached that memcached's tests start: runs a storage node with what memcached's flags mean for it.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
/** Flags without a value, of those that the tests give. */
const SWITCHES = new Set(['-A', '-C', '-d', '-F', '-M', '-S', '-v', '-vv', '-W']);
/** What a node does not do, and what the tests that give it do not depend on: the table in files.mjs tells where they do. */
const IGNORED = new Set(['-A', '-C', '-U', '-t']);
/** Protocols that memcached can be bound to; a node tells them by the first byte. */
const PROTOCOLS = ['auto', 'ascii', 'binary'];
/** memcached's -m by default. */
const MEGABYTES = '64';
/** The words by which the tests tell what a memcached can do. */
const HELP = 'a Volley storage node with the flags of memcached: -s, --unix-socket\n';

/** -o without what the tests' library adds for memcached's debug build. */
function extended(value) {
  const options = value.split(',').filter((option) => option !== 'relaxed_privileges');
  return options.length === 0 ? [] : ['-o', options.join(',')];
}

/** What the flag is for a node, or nothing. */
function translate(flag, value) {
  if (flag === '-B' && PROTOCOLS.includes(value)) return [];
  if (flag === '-t' && Number(value) < 1) return [flag, value];
  if (IGNORED.has(flag)) return [];
  if (flag === '-o') return extended(value);
  return value === null ? [flag] : [flag, value];
}

const given = process.argv.slice(2);
if (given.includes('-h')) {
  process.stdout.write(HELP);
  process.exit(0);
}
// Without -M memcached evicts; a flag that comes later counts more.
const args = ['node', '-m', MEGABYTES, '--on-full', 'evict'];
args.push('--local', 'off', '--fabric', 'off', '--log-level', 'silent');
for (let i = 0; i < given.length; i++) {
  const flag = given[i];
  args.push(...translate(flag, SWITCHES.has(flag) ? null : given[++i]));
}
// Not the test's stdout: Node makes a pipe that it writes to non-blocking, for perl too, which then loses lines.
const node = spawn(join(root, 'bin', 'volley'), args, { stdio: ['ignore', 'ignore', 'inherit'] });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGUSR1']) {
  process.on(signal, () => node.kill(signal === 'SIGUSR1' ? 'SIGTERM' : signal));
}
node.on('close', (code, signal) => process.exit(signal ? 1 : code));
