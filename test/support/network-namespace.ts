import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { TestProcess } from './processes.js';

/** By this process so far. */
let made = 0;

/** Why network namespaces cannot be used here, or ''. */
export function namespacesRefused(): string {
  const { status, stderr, error } = spawnSync('unshare', ['--net', 'ip', 'link', 'add', 'type', 'veth'], {
    encoding: 'utf8',
  });
  return status === 0 ? '' : (error?.message ?? stderr).trim();
}

/**
 * Another host, as far as the network goes: a network namespace behind a cable (a veth pair) that can be unplugged. It
 * lives as long as the process that holds it, and so does the cable.
 */
export class NetworkNamespace {
  /** Its address, and this side's. */
  readonly host: string;
  readonly #gateway: string;
  readonly #holder = new TestProcess('unshare', ['--net', 'sh', '-c', 'echo there; exec sleep infinity']);
  // Another name each time: the kernel takes the last cable away some time after its namespace has ended.
  readonly #cable = `vly${process.pid % 1e6}n${made++}`;
  readonly #outside = `${this.#cable}o`;
  readonly #inside = `${this.#cable}i`;

  private constructor() {
    // From 198.18.0.0/15, which is for tests of networks; drawn, for other tests may run at the same time.
    const net = `198.${18 + randomInt(2)}.${randomInt(256)}`;
    const first = 4 * randomInt(64);
    this.host = `${net}.${first + 2}`;
    this.#gateway = `${net}.${first + 1}`;
  }

  /** Makes one, does the work, removes it. */
  static async use(work: (namespace: NetworkNamespace) => Promise<void>): Promise<void> {
    const namespace = new NetworkNamespace();
    try {
      await namespace.#holder.until('namespace', () => namespace.#holder.stdout.includes('there'));
      namespace.#lay();
      await work(namespace);
    } finally {
      await namespace.#holder.kill();
    }
  }

  #lay(): void {
    const there = String(this.#holder.pid);
    run('ip', 'link', 'add', this.#outside, 'type', 'veth', 'peer', 'name', this.#inside, 'netns', there);
    run('ip', 'address', 'add', `${this.#gateway}/30`, 'dev', this.#outside);
    run('ip', 'link', 'set', this.#outside, 'up');
    run(...this.command('ip', 'address', 'add', `${this.host}/30`, 'dev', this.#inside));
    run(...this.command('ip', 'link', 'set', 'lo', 'up'));
    this.plug();
  }

  /** The command line that runs a command in there. */
  command(...command: string[]): string[] {
    return ['nsenter', `--net=/proc/${this.#holder.pid}/ns/net`, ...command];
  }

  /** Pulls the cable at the other side: this side sees no carrier any more, and nothing comes back. */
  unplug(): void {
    run(...this.command('ip', 'link', 'set', this.#inside, 'down'));
  }

  plug(): void {
    run(...this.command('ip', 'link', 'set', this.#inside, 'up'));
  }
}

function run(...command: string[]): void {
  const { status, stderr, error } = spawnSync(command[0]!, command.slice(1), { encoding: 'utf8' });
  if (status !== 0) throw error ?? new Error(`${command.join(' ')}: ${stderr}`);
}
