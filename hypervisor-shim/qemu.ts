import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Duplex, Readable } from 'node:stream';
import { VolleyError } from '../src/errors.js';
import { findExecutable, plainEnvironment, tiedToThisProcess, whyNotFound } from './executable.js';

export const DEFAULT_QEMU = 'qemu-system-x86_64';
/** QEMU's descriptor for its monitor: one end of a socket pair. */
export const MONITOR_FD = 3;

const STDERR_BYTES_MAX = 8192;
const KILL_TIMEOUT_MS = 10_000;

/** How a QEMU process ended. */
export interface QemuEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** What it said on stderr that explains it best: one line, or ''. */
  complaint: string;
}

/** Those that run: whatever ends this process, they end with it. */
const running = new Set<ChildProcess>();

function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** One running QEMU. It needs no file and no socket of its own, and dies with this process. */
export class Qemu {
  readonly #child: ChildProcess;
  #stderr = '';
  /** Resolves when the process is gone and all it wrote has been read. Never rejects. */
  readonly ended: Promise<QemuEnd>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr!.on('data', (bytes: Buffer) => {
      if (this.#stderr.length < STDERR_BYTES_MAX) this.#stderr += bytes.toString('utf8');
    });
    // A signal that cannot be sent any more is told so, too; that QEMU has ended is all that matters.
    child.on('error', () => {});
    if (running.size === 0) process.once('exit', killAll);
    running.add(child);
    this.ended = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        running.delete(child);
        if (running.size === 0) process.removeListener('exit', killAll);
        resolve({ code, signal, complaint: complaintIn(this.#stderr) });
      });
    });
  }

  /**
   * Starts QEMU with these arguments; the monitor is to be on descriptor MONITOR_FD, the serial port on stdout.
   * @param binary a path, or a name to be found in PATH
   * @throws VolleyError ERR_VOLLEY_QEMU when it cannot be started
   */
  static async start(binary: string, args: string[]): Promise<Qemu> {
    const path = findExecutable(binary);
    if (!path) {
      const remedy = 'run: apt-get install qemu-system-x86, or tell where it is with --qemu PATH';
      throw new VolleyError('ERR_VOLLEY_QEMU', `${binary} ${whyNotFound(binary)}; ${remedy}`);
    }
    const [command, allArgs] = tiedToThisProcess(path, args);
    // In a session of its own, so that the terminal's Ctrl-C reaches this process alone, which then stops QEMU.
    const child = spawn(command, allArgs, {
      detached: true,
      env: plainEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    try {
      await once(child, 'spawn');
    } catch (cause) {
      const words = cause instanceof Error ? cause.message : String(cause);
      throw new VolleyError('ERR_VOLLEY_QEMU', `${path} cannot be started: ${words}`, { cause });
    }
    return new Qemu(child);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** What the guest writes to its serial port. */
  get serial(): Readable {
    return this.#child.stdout!;
  }

  get monitor(): Duplex {
    return this.#child.stdio[MONITOR_FD] as Duplex;
  }

  /** Kills QEMU and waits until it is gone. @throws VolleyError ERR_VOLLEY_QEMU when it cannot be killed */
  async stop(): Promise<QemuEnd> {
    this.#child.kill('SIGKILL');
    this.serial.destroy();
    this.monitor.destroy();
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      const error = new VolleyError('ERR_VOLLEY_QEMU', `QEMU (process ${this.pid}) does not die of SIGKILL`);
      timer = setTimeout(() => reject(error), KILL_TIMEOUT_MS);
    });
    return Promise.race([this.ended, tooLate]).finally(() => clearTimeout(timer));
  }
}

/** QEMU's error is its first line that is no warning; what follows are hints. */
function complaintIn(stderr: string): string {
  const lines = stderr.split('\n').map((line) => line.trim());
  const spoken = lines.filter((line) => line !== '');
  const line = spoken.find((candidate) => !/\bwarning:/.test(candidate)) ?? spoken[0] ?? '';
  return line.slice(0, 500);
}
