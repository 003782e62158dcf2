import type { Counters } from '../counters.js';
import type { Credentials } from './credentials.js';
import type { Rights } from './rights.js';
import type { Throttle } from './throttle.js';

/** What all logins of a node share. */
export interface LoginContext {
  credentials: Credentials;
  throttle: Throttle;
  counters: Counters;
}

export type Verdict = 'accepted' | 'denied' | 'throttled';

/** One connection's way past the node's auth file. */
export class Login {
  /** Whether the client has not authenticated yet. */
  locked = true;
  /** What the client may do once it has. */
  rights: Rights = 'read';
  private timer: NodeJS.Timeout | null = null;

  /**
   * @param address whose attempts they are
   * @param onReady called when a wait has ended
   */
  constructor(
    private readonly context: LoginContext,
    private readonly address: string,
    private readonly onReady: () => void,
  ) {}

  /** Whether an attempt waits for its turn. */
  get isWaiting(): boolean {
    return this.timer !== null;
  }

  /** Examines an attempt, at once or when it is its turn, and tells the verdict. One attempt at a time. */
  attempt(user: Uint8Array, password: Uint8Array, tell: (verdict: Verdict) => void): void {
    const { credentials, throttle } = this.context;
    this.locked = true;
    const rights = credentials.admit(user, password);
    this.rights = rights ?? 'read';
    const waitMs = throttle.admit(this.address);
    if (waitMs === null) tell(this.conclude('throttled'));
    else if (waitMs === 0) tell(this.conclude(rights ? 'accepted' : 'denied'));
    else {
      this.timer = setTimeout(() => {
        this.timer = null;
        tell(this.conclude(rights ? 'accepted' : 'denied'));
        this.onReady();
      }, waitMs);
    }
  }

  /** Counts an attempt that cannot be right whatever it says. */
  reject(): Verdict {
    return this.conclude('denied');
  }

  /** Forgets that the client has authenticated: it begins anew. */
  lock(): void {
    this.locked = true;
  }

  private conclude(verdict: Verdict): Verdict {
    const { counters, throttle } = this.context;
    counters.authCmds++;
    this.locked = verdict !== 'accepted';
    if (this.locked) counters.authErrors++;
    if (verdict === 'denied') throttle.failed(this.address);
    return verdict;
  }

  /** To be called when the connection is gone. */
  close(): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
  }
}
