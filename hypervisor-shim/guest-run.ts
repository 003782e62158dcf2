import type { Writable } from 'node:stream';
import { isVolleyError, VolleyError } from '../src/errors.js';
import { onAbort } from '../src/on-abort.js';
import { Qemu, type QemuEnd } from './qemu.js';
import { QmpClient, type QmpEvent } from './qmp-client.js';
import { SerialLog } from './serial-log.js';
import type { StageClock } from './stage-clock.js';

const FIRST_KERNEL_LINE = 'Linux version';
const PANIC = 'Kernel panic - not syncing';
/** What a kernel prints of an initrd that it does not take; it goes on, and mostly panics for want of an init. */
const NOT_UNPACKED = 'Initramfs unpacking failed';
/** A panic's line is reported when it had this time to arrive whole. */
const PANIC_GRACE_MS = 200;
const MONITOR_TIMEOUT_MS = 15_000;
/** How long a QEMU whose monitor broke may take to end and to say why. */
const LAST_WORDS_MS = 1_000;

export interface GuestRunOptions {
  qemu: string;
  args: string[];
  clock: StageClock;
  /** Text on the serial port that is waited for; without it, the guest's end is. */
  until?: string;
  /** Text on the serial port that shows that userspace runs. Default: `until`. */
  userspace?: string;
  /** From QEMU's start to `until`, or to the guest's end. Without it, as long as it takes. */
  timeoutMs?: number;
  /** Where the guest's serial output goes as it comes; it slows the guest down when it does not keep up. */
  output?: Writable;
  signal?: AbortSignal;
}

/** How a run came to its good end. */
export type GuestOutcome = 'until' | 'ended';

/**
 * One guest from QEMU's start to its end: serial capture, markers, monitor, deadline, and whatever cuts it short. The
 * owner must call stop() in any case.
 */
export class GuestRun {
  readonly #options: GuestRunOptions;
  readonly #qemu: Qemu;
  readonly #controller = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #ignoreAbort: () => void;
  readonly #onOutputError = (error: Error) =>
    this.#fail(
      new VolleyError('ERR_VOLLEY_FILE', `the guest's serial output cannot be written: ${error.message}`),
    );
  readonly log = new SerialLog();
  /** Why QEMU says that the guest ended (`guest-shutdown`, `guest-reset`…), or null. */
  endReason: string | null = null;
  #guestStarted = false;
  #succeed!: (outcome: GuestOutcome) => void;
  #reject!: (error: VolleyError) => void;
  /** Settles once: the text came or the guest ended as expected, else a VolleyError. */
  readonly outcome: Promise<GuestOutcome>;
  #client: QmpClient | undefined;

  private constructor(qemu: Qemu, options: GuestRunOptions) {
    this.#qemu = qemu;
    this.#options = options;
    this.outcome = new Promise((resolve, reject) => {
      this.#succeed = resolve;
      this.#reject = reject;
    });
    // Whoever waits for the outcome sees the error; before anyone does it must not end the process.
    this.outcome.catch(() => {});
    this.#watchSerial();
    void qemu.ended.then((end) => this.#onEnd(end));
    if (options.timeoutMs !== undefined) {
      this.#timers.push(setTimeout(() => this.#fail(this.#tooLate()), options.timeoutMs));
    }
    const fail = () => this.#fail(abortReason(options.signal));
    this.#ignoreAbort = onAbort(options.signal, fail);
    options.output?.once('error', this.#onOutputError);
    if (options.signal?.aborted) fail();
  }

  /** @throws VolleyError ERR_VOLLEY_QEMU when QEMU cannot be started, ERR_VOLLEY_USAGE */
  static async start(options: GuestRunOptions): Promise<GuestRun> {
    if (options.until === '' || options.userspace === '') {
      throw new VolleyError(
        'ERR_VOLLEY_USAGE',
        'the text to wait for is empty; give some, or leave the option out',
      );
    }
    options.clock.reach('spawn');
    return new GuestRun(await Qemu.start(options.qemu, options.args), options);
  }

  /** Fires when the run is cut short; its reason is the VolleyError. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Waits for work that serves this run, but not longer than the run lasts. @throws what cut the run short */
  guard<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const fail = () => reject(this.signal.reason);
      if (this.signal.aborted) fail();
      work.then(resolve, reject).finally(onAbort(this.signal, fail));
    });
  }

  /** Opens QEMU's monitor. @throws VolleyError ERR_VOLLEY_QEMU, ERR_VOLLEY_TIMEOUT, or what cut the run short */
  async openMonitor(): Promise<void> {
    const onEvent = ({ name, data }: QmpEvent) => {
      if (name === 'SHUTDOWN' && typeof data.reason === 'string') this.endReason = data.reason;
    };
    const options = { timeoutMs: MONITOR_TIMEOUT_MS, onEvent };
    this.#client = await this.#explained(this.guard(QmpClient.open(this.#qemu.monitor, options)));
    this.#options.clock.reach('monitor');
  }

  /** What a command of the human monitor prints; openMonitor() comes first. @throws as openMonitor() */
  askMonitor(command: string): Promise<string> {
    if (!this.#client) throw new Error('the monitor is not open');
    return this.#explained(this.guard(this.#client.monitor(command, MONITOR_TIMEOUT_MS)));
  }

  /** When QEMU dies its monitor breaks first: the error to tell is why it died. */
  async #explained<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      let timer: NodeJS.Timeout | undefined;
      const patience = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, LAST_WORDS_MS);
      });
      await Promise.race([this.#qemu.ended, patience]).finally(() => clearTimeout(timer));
      throw this.signal.aborted ? this.signal.reason : error;
    }
  }

  /** What the kernel said of an initrd that it did not take whole, and what to do; or null. */
  get initrdFault(): string | null {
    const line = this.log.keptLine(NOT_UNPACKED);
    if (line === undefined) return null;
    const words = line.slice(line.indexOf(NOT_UNPACKED)).slice(0, 200);
    return `the kernel did not take its initrd (${words}): volley upload --initrd says what is wrong with it`;
  }

  /** Tells that from now on QEMU's end is the guest's end. */
  guestStarted(): void {
    this.#guestStarted = true;
  }

  /** Kills QEMU if it still runs, and lets go of everything. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#ignoreAbort();
    this.#options.output?.removeListener('error', this.#onOutputError);
    this.#client?.close();
    await this.#qemu.stop();
    this.#options.clock.reach('end');
  }

  #watchSerial(): void {
    const { clock, until, userspace = until, output } = this.#options;
    this.log.keepLine(NOT_UNPACKED);
    this.log.watch(FIRST_KERNEL_LINE, () => clock.reach('kernel'));
    if (userspace !== undefined) this.log.watch(userspace, () => clock.reach('userspace'));
    if (until !== undefined) {
      this.log.watch(until, () => {
        clock.reach('until');
        this.#succeed('until');
      });
    }
    this.log.watch(PANIC, () => {
      this.#timers.push(setTimeout(() => this.#fail(this.#panicked()), PANIC_GRACE_MS));
    });
    const { serial } = this.#qemu;
    serial.on('data', (bytes: Buffer) => {
      this.log.feed(bytes);
      if (output && !output.write(bytes)) {
        serial.pause();
        output.once('drain', () => serial.resume());
      }
    });
    // The pipe breaks when QEMU is killed; that QEMU has ended is told by itself.
    serial.on('error', () => {});
  }

  #onEnd(end: QemuEnd): void {
    this.#options.clock.reach('end');
    const how = end.signal ? `was killed by ${end.signal}` : `ended with exit code ${end.code}`;
    const words = end.complaint === '' ? '' : `: ${end.complaint}`;
    if (!this.#guestStarted) {
      this.#fail(new VolleyError('ERR_VOLLEY_QEMU', `QEMU ${how} before the guest was started${words}`));
    } else if (end.signal || end.code !== 0) {
      this.#fail(new VolleyError('ERR_VOLLEY_QEMU', `QEMU ${how} while the guest ran${words}`));
    } else if (this.log.lines().some((line) => line.includes(PANIC))) {
      this.#fail(this.#panicked());
    } else if (this.#options.until !== undefined) {
      const why = this.endReason === null ? '' : ` (${this.endReason})`;
      this.#fail(this.#guestError(`the guest ended${why} before it printed "${this.#options.until}"`));
    } else {
      this.#succeed('ended');
    }
  }

  #fail(error: VolleyError): void {
    this.#reject(error);
    this.#controller.abort(error);
  }

  #tooLate(): VolleyError {
    const { until, timeoutMs } = this.#options;
    const missed = until === undefined ? 'the guest did not end' : `the guest did not print "${until}"`;
    return this.#guestError(`${missed} within ${timeoutMs! / 1000} s`);
  }

  #panicked(): VolleyError {
    const line = this.log.lines().find((candidate) => candidate.includes(PANIC)) ?? PANIC;
    const words = `the guest's kernel gave up: ${line.slice(line.indexOf(PANIC))}`;
    return new VolleyError('ERR_VOLLEY_GUEST', [words, ...this.#initrdFault()].join('; '));
  }

  /** What the kernel said of its initrd, and what to do, when it could not unpack it. */
  #initrdFault(): string[] {
    return this.initrdFault === null ? [] : [this.initrdFault];
  }

  #guestError(what: string): VolleyError {
    const last = this.log.lastLine();
    const seen = last === '' ? 'its serial port stayed silent' : `its last line: ${last.slice(0, 200)}`;
    return new VolleyError('ERR_VOLLEY_GUEST', [what, seen, ...this.#initrdFault()].join('; '));
  }
}

function abortReason(signal: AbortSignal | undefined): VolleyError {
  const reason: unknown = signal?.reason;
  return isVolleyError(reason) ? reason : new VolleyError('ERR_VOLLEY_ABORTED', 'the boot was interrupted');
}
