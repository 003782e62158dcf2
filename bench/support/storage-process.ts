import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { tiedToThisProcess } from '../../hypervisor-shim/executable.js';
import { VolleyError } from '../../src/errors.js';
import { ROOT } from '../../src/root.js';

const START_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 5_000;

/** One `volley node` in a process of its own, which ends with this one. */
export class StorageProcess {
  readonly #child: ChildProcess;
  /** `127.0.0.1:port` */
  readonly name: string;

  private constructor(child: ChildProcess, name: string) {
    this.#child = child;
    this.name = name;
  }

  /**
   * @param memory what -m gets
   * @param socket where it hands out its region
   * @param more further options of `volley node`
   * @param nodeFlags flags of Node's
   * @throws VolleyError ERR_VOLLEY_NODE_DOWN when it does not come up, ERR_VOLLEY_ABORTED
   */
  static async start(
    memory: string,
    socket: string,
    signal: AbortSignal,
    more: readonly string[] = [],
    nodeFlags: readonly string[] = [],
  ): Promise<StorageProcess> {
    const script = [
      ...nodeFlags,
      join(ROOT, 'bin', 'volley'),
      'node',
      '-p',
      '0',
      '-m',
      memory,
      '--local',
      socket,
    ];
    const [command, args] = tiedToThisProcess(process.execPath, [
      ...script,
      '--hugepages',
      'off',
      '--json',
      ...more,
    ]);
    // In a session of its own: a Ctrl-C is for the demo, which stops its nodes when it has no more use for them.
    const child = spawn(command, args, { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
    child.on('error', () => {});
    try {
      const line = await firstLine(child, signal);
      const { port } = JSON.parse(line) as { port: number };
      return new StorageProcess(child, `127.0.0.1:${port}`);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Asks it to end, and kills it when it does not. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }
}

/** What the node prints when it is ready. */
function firstLine(child: ChildProcess, signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: child.stdout! });
  return new Promise<string>((resolve, reject) => {
    const down = (why: string) => reject(new VolleyError('ERR_VOLLEY_NODE_DOWN', `a storage node ${why}`));
    const timer = setTimeout(() => down(`was not ready in ${START_TIMEOUT_MS} ms`), START_TIMEOUT_MS);
    const onAbort = () => reject(new VolleyError('ERR_VOLLEY_ABORTED', 'interrupted'));
    signal.addEventListener('abort', onAbort, { once: true });
    lines.once('line', resolve);
    child.once('exit', () => down('ended at its start'));
    lines.once('close', () => clearTimeout(timer));
    if (signal.aborted) onAbort();
  }).finally(() => lines.close());
}
