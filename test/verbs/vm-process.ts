import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { plainEnvironment, tiedToThisProcess } from '../../hypervisor-shim/executable.js';
import { SerialLog } from '../../hypervisor-shim/serial-log.js';
import { VolleyError, type VolleyErrorCode } from '../../src/errors.js';
import { copyUntilCode } from './guest-output.js';

/** Descriptors at which QEMU finds the sockets that carry the command's output. */
export const OUT_FD = 3;
export const ERR_FD = 4;

const START_MARKER = 'verbs-vm: the command starts';
const COMPLAINT_BYTES_MAX = 8192;

export interface VmLimits {
  /** From QEMU's start to the command's end. */
  timeoutMs: number;
  signal?: AbortSignal;
}

/** The VM ended, or was ended, before its command had. */
export class VmError extends VolleyError {
  /** The guest's log up to then. */
  readonly log: string[];

  constructor(code: VolleyErrorCode, message: string, log: string[]) {
    super(code, message);
    this.name = 'VmError';
    this.log = log;
  }
}

/** The QEMU of one verbs VM. Its serial port, with the guest's log, is on stdout. It dies with this process. */
export class VmProcess {
  readonly #child: ChildProcess;
  readonly #closed: Promise<void>;
  readonly #limits: VmLimits;
  readonly #over = new AbortController();
  readonly #deadline: NodeJS.Timeout;
  readonly #startedAt = performance.now();
  readonly #log = new SerialLog();
  #isLate = false;
  readonly #kill = () => this.#child.kill('SIGKILL');
  readonly #end = () => {
    this.#over.abort();
    this.#kill();
  };
  #complaint = '';
  #bootMs: number | undefined;
  #linesAtStart = 0;

  /** @param qemu its path */
  constructor(qemu: string, args: string[], limits: VmLimits) {
    this.#limits = limits;
    const [command, allArgs] = tiedToThisProcess(qemu, args);
    // In a session of its own, so that the terminal's Ctrl-C reaches this process alone, which then stops QEMU.
    const child = spawn(command, allArgs, {
      detached: true,
      env: plainEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#closed = new Promise((resolve) => child.once('close', () => resolve()));
    child.on('error', (error) => this.#complain(error.message));
    child.stderr!.on('data', (bytes: Buffer) => this.#complain(bytes.toString('utf8')));
    child.stdout!.on('data', (bytes: Buffer) => this.#log.feed(bytes));
    this.#log.watch(START_MARKER, () => {
      this.#bootMs = this.elapsedMs;
      this.#linesAtStart = this.#log.lines().length + 1;
    });
    this.#deadline = setTimeout(() => {
      this.#isLate = true;
      this.#end();
    }, limits.timeoutMs);
    limits.signal?.addEventListener('abort', this.#end);
    process.once('exit', this.#kill);
    if (limits.signal?.aborted) this.#end();
  }

  get elapsedMs(): number {
    return Math.round(performance.now() - this.#startedAt);
  }

  /** How long the one of QEMU's threads that waited longest was kept waiting for a processor of this host, while it runs. */
  get waitedMs(): number {
    const tasks = `/proc/${this.#child.pid}/task`;
    const waited = readdirSync(tasks).map((thread) =>
      Number(readFileSync(`${tasks}/${thread}/schedstat`, 'latin1').split(' ')[1]),
    );
    return Math.round(Math.max(...waited) / 1e6);
  }

  /** From the start to the command's start in the guest; undefined before. */
  get bootMs(): number | undefined {
    return this.#bootMs;
  }

  /** What the guest's kernel has said since the command started. */
  get logSinceCommand(): string[] {
    return this.#log.lines().slice(this.#linesAtStart);
  }

  /**
   * Copies the command's output, and returns its exit code.
   * @throws VmError ERR_VOLLEY_GUEST, _TIMEOUT, _ABORTED, _FILE (the output cannot be written)
   */
  async commandCode(stdout: Writable, stderr: Writable, nonce: string): Promise<number> {
    const copy = (fd: number, to: Writable) =>
      copyUntilCode(this.#child.stdio[fd] as Readable, to, nonce, this.#over.signal);
    let fault: unknown;
    const codes = await Promise.all([copy(OUT_FD, stdout), copy(ERR_FD, stderr)]).catch((error) => {
      fault = error;
      return [];
    });
    const [code] = codes;
    if (code !== undefined && !this.#over.signal.aborted) return code;
    await this.stop();
    throw this.#error(fault);
  }

  /** Ends QEMU and waits until it is gone. */
  async stop(): Promise<void> {
    this.#kill();
    for (const fd of [OUT_FD, ERR_FD]) (this.#child.stdio[fd] as Readable).destroy();
    await this.#closed;
    clearTimeout(this.#deadline);
    this.#limits.signal?.removeEventListener('abort', this.#end);
    process.removeListener('exit', this.#kill);
  }

  #error(fault: unknown): VmError {
    const { timeoutMs } = this.#limits;
    const during = this.#bootMs === undefined ? 'while it booted' : 'while the command ran';
    const log = this.#log.lines();
    if (this.#isLate) {
      const limit = `its ${timeoutMs / 1000} s were over; give it more with --timeout`;
      return new VmError('ERR_VOLLEY_TIMEOUT', `the VM was stopped ${during}: ${limit}`, log);
    }
    if (this.#over.signal.aborted)
      return new VmError('ERR_VOLLEY_ABORTED', `the VM was stopped ${during}`, log);
    if (fault) return new VmError('ERR_VOLLEY_FILE', `the command's output cannot be written: ${fault}`, log);
    const words = this.#complaint.trim().split('\n')[0] || `the guest's last line: ${this.#log.lastLine()}`;
    return new VmError('ERR_VOLLEY_GUEST', `the VM ended ${during} (${words})`, log);
  }

  #complain(words: string): void {
    if (this.#complaint.length < COMPLAINT_BYTES_MAX) this.#complaint += words;
  }
}
