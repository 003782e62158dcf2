import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../../src/root.js';
import { TestProcess } from './processes.js';

/** Longer than a command may take. */
const LIMIT_MS = 35_000;

/** How a command in there ended. */
export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/**
 * Lays an overlay over the host's root, with folders of its own for what is not to be shared and nothing where the
 * source tree is, and stays. $1 is a folder for it, $2 the source tree.
 */
const LAY_OUT = `
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
for shared in dev proc sys; do mount --rbind "/$shared" "$1/root/$shared"; done
for own in run tmp; do mount -t tmpfs -o mode=1777 tmpfs "$1/root/$own"; done
[ ! -d "$1/root$2" ] || mount -t tmpfs tmpfs "$1/root$2"
# Containers of Debian leave out manual pages.
rm -f "$1/root/etc/dpkg/dpkg.cfg.d/docker" "$1/root/etc/dpkg/dpkg.cfg.d/excludes"
ip link set lo up
echo ready
exec sleep 300
`;

/** This host's system, to be changed at will: files that are written are gone afterwards. Its loopback is its own. */
export class IsolatedSystem {
  readonly #holder: TestProcess;
  readonly #folder = mkdtempSync(join(tmpdir(), 'volley-system-'));

  private constructor() {
    const script = ['bash', '-c', LAY_OUT, 'lay-out', this.#folder, ROOT];
    this.#holder = new TestProcess('unshare', ['--mount', '--net', ...script]);
  }

  /** Why there can be none here, or null. */
  static lacking(): string | null {
    if (process.getuid!() !== 0) return 'only root can make mounts';
    try {
      execFileSync('unshare', ['--mount', '--net', 'true'], { stdio: 'ignore' });
      return null;
    } catch {
      return 'namespaces cannot be made here';
    }
  }

  static async start(): Promise<IsolatedSystem> {
    const system = new IsolatedSystem();
    try {
      await system.#holder.until('system', () => system.#holder.stdout.includes('ready'));
      return system;
    } catch (error) {
      await system.stop();
      throw error;
    }
  }

  /** Starts a program in there, with a plain environment. */
  spawn(command: string, ...args: string[]): TestProcess {
    const root = join(this.#folder, 'root');
    const enter = ['--target', String(this.#holder.pid), '--mount', '--net', '--', 'chroot', root];
    const environment = ['env', '-i', `PATH=${process.env.PATH}`, 'HOME=/root', 'LC_ALL=C.UTF-8'];
    return new TestProcess('nsenter', [...enter, ...environment, command, ...args]);
  }

  /** Runs a program in there to its end, of at most 30 s. */
  async run(command: string, ...args: string[]): Promise<Outcome> {
    const child = this.spawn('timeout', '30', command, ...args);
    const code = await child.ended(LIMIT_MS);
    return { code, stdout: child.stdout, stderr: child.stderr };
  }

  /** Runs a line of shell that must succeed. Returns what it prints. */
  async shell(line: string): Promise<string> {
    const { code, stdout, stderr } = await this.run('bash', '-c', line);
    if (code !== 0) throw new Error(`${line}: exit code ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Copies a file of the host into it. */
  async put(source: string, path: string): Promise<void> {
    const copy = this.spawn('dd', `of=${path}`, 'bs=1M', 'status=none');
    copy.child.stdin!.end(readFileSync(source));
    await copy.ended();
  }

  /** Files that were written, and whiteouts of those that were removed. */
  async changes(): Promise<string[]> {
    const upper = join(this.#folder, 'upper');
    const enter = ['--target', String(this.#holder.pid), '--mount', '--', 'find', upper, '!', '-type', 'd'];
    const find = new TestProcess('nsenter', enter);
    await find.ended();
    return find.stdout
      .split('\n')
      .filter((path) => path !== '')
      .map((path) => path.slice(upper.length));
  }

  async stop(): Promise<void> {
    await this.#holder.kill();
    rmdirSync(this.#folder);
  }
}
