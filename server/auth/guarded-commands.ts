import type { Counters } from '../counters.js';
import type {
  ArithmeticRequest,
  CommandHandler,
  DumpRequest,
  FlushRequest,
  GetRequest,
  KeyRequest,
  LoginRequest,
  ReadsRequest,
  Refusal,
  Request,
  SaslRequest,
  StatsRequest,
  StoreRequest,
  TouchRequest,
  VerbosityRequest,
} from '../protocol/commands.js';
import type { MetaHandler } from '../protocol/meta-requests.js';
import type { Rights } from './rights.js';

/** Stands before a session and refuses what its user may not do. */
export class GuardedCommands implements CommandHandler {
  readonly meta: MetaHandler;
  /** Whether the store that has begun is refused; its value is thrown away. */
  private refusesStore = false;

  /** @param rights asked for each command: they come with the login */
  constructor(
    private readonly session: CommandHandler,
    private readonly counters: Counters,
    private readonly rights: () => Rights,
    private readonly flushAllowed: boolean,
  ) {
    const { meta } = session;
    this.meta = {
      get: (request) => {
        const { exptime, vivify, recache } = request.meta;
        if (exptime === null && vivify === null && recache === null) meta.get(request);
        else this.change(request, () => meta.get(request));
      },
      delete: (request) => this.change(request, () => meta.delete(request)),
      arithmetic: (request) => this.change(request, () => meta.arithmetic(request)),
      debug: (request) => meta.debug(request),
      noop: (request) => meta.noop(request),
    };
  }

  /** Does what changes something, if the user may. */
  private change(request: Request, act: () => void): void {
    if (this.rights() === 'all') act();
    else this.deny(request, 'forbidden');
  }

  private deny(request: Request, refusal: Refusal): void {
    this.counters.deniedCommands++;
    this.session.refuse(request, refusal);
  }

  get paused(): boolean {
    return this.session.paused;
  }

  get locked(): boolean {
    return this.session.locked;
  }

  get(request: GetRequest): void {
    if (request.exptime === null || this.rights() === 'all') this.session.get(request);
    else if (request.last) this.deny(request, 'forbidden');
  }

  storeBegin(request: StoreRequest): void {
    this.refusesStore = this.rights() !== 'all';
    if (!this.refusesStore) this.session.storeBegin(request);
  }

  storeBytes(bytes: Uint8Array, start: number, end: number): void {
    if (!this.refusesStore) this.session.storeBytes(bytes, start, end);
  }

  storeEnd(request: StoreRequest, intact: boolean): void {
    if (this.refusesStore) this.deny(request, 'forbidden');
    else this.session.storeEnd(request, intact);
    this.refusesStore = false;
  }

  delete(request: KeyRequest): void {
    this.change(request, () => this.session.delete(request));
  }

  arithmetic(request: ArithmeticRequest): void {
    this.change(request, () => this.session.arithmetic(request));
  }

  touch(request: TouchRequest): void {
    this.change(request, () => this.session.touch(request));
  }

  flush(request: FlushRequest): void {
    if (this.flushAllowed) this.change(request, () => this.session.flush(request));
    else this.deny(request, 'no-flush');
  }

  stats(request: StatsRequest): void {
    // `stats reset` and `stats detail on|off` change what others see.
    if (/^(reset$|detail o)/.test(request.topic)) this.change(request, () => this.session.stats(request));
    else this.session.stats(request);
  }

  dump(request: DumpRequest): void {
    this.session.dump(request);
  }

  reads(request: ReadsRequest): void {
    this.session.reads(request);
  }

  sweep(request: Request): void {
    this.change(request, () => this.session.sweep(request));
  }

  refreshCertificates(request: Request): void {
    this.change(request, () => this.session.refreshCertificates(request));
  }

  version(request: Request): void {
    this.session.version(request);
  }

  verbosity(request: VerbosityRequest): void {
    this.change(request, () => this.session.verbosity(request));
  }

  noop(request: Request): void {
    this.session.noop(request);
  }

  quit(request: Request): void {
    this.session.quit(request);
  }

  login(request: LoginRequest): void {
    this.session.login(request);
  }

  mechanisms(request: Request): void {
    this.session.mechanisms(request);
  }

  sasl(request: SaslRequest): void {
    this.session.sasl(request);
  }

  refuse(request: Request, refusal: Refusal): void {
    this.session.refuse(request, refusal);
  }
}
