import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** Much longer than anything takes: in the verbs VM processors are emulated, and elsewhere the machine may be busy. */
const EXIT_TIMEOUT_MS = 40_000;

/** A child process of a test. It never outlives the test: the kernel kills it when the test's process dies. */
export class TestProcess {
  stdout = '';
  stderr = '';
  readonly child: ChildProcess;
  readonly #exit: Promise<unknown>;

  constructor(command: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
    const env = { ...process.env, ...environment };
    const tied = ['--pdeathsig', 'KILL', '--', command, ...args];
    this.child = spawn('setpriv', tied, { env, stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stdout!.on('data', (bytes) => {
      this.stdout += bytes;
    });
    this.child.stderr!.on('data', (bytes) => {
      this.stderr += bytes;
    });
    // A program that ends before it has read its stdin is no fault of the test.
    this.child.stdin!.on('error', () => {});
    this.#exit = once(this.child, 'close');
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** Sends a signal; SIGSTOP and SIGKILL too. */
  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Waits for its end. Returns the exit code, or null when a signal ended it. */
  async ended(timeoutMs = EXIT_TIMEOUT_MS): Promise<number | null> {
    const timer = setTimeout(() => this.signal('SIGKILL'), timeoutMs);
    await this.#exit;
    clearTimeout(timer);
    return this.child.exitCode;
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.#exit;
  }

  /** Waits until `holds` is true. @throws when the process ends before, or after EXIT_TIMEOUT_MS */
  async until(what: string, holds: () => boolean, timeoutMs = EXIT_TIMEOUT_MS): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!holds()) {
      const over = this.child.exitCode !== null || this.child.signalCode !== null;
      if (over || performance.now() > deadline) throw new Error(`no ${what}: ${this.stdout}${this.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
