import type { Clients } from './clients.js';
import type { Clock } from './clock.js';
import type { Slots } from './slots.js';
import type { Store } from './store.js';
import type { Sweeper } from './sweeper.js';
import type { ReaderPool } from './threads/reader-pool.js';

/** How often is looked for what is to do: while slots rest or items expire, and while nothing does. */
const TICK_MS = 250;
const IDLE_TICK_MS = 1000;
/** How often connections are asked whether they stall. */
const STALL_CHECK_MS = 1000;

/** What is looked after. */
export interface Household {
  slots: Slots;
  store: Store;
  sweeper: Sweeper;
  clients: Clients;
  readers: ReaderPool | null;
  clock: Clock;
  /** Is told of an exception; all goes on then. */
  onFault: (error: unknown) => void;
}

/** What a node does from time to time, whether or not it is asked for anything. It keeps no process alive. */
export class Housekeeping {
  private readonly household: Household;
  private ticker: NodeJS.Timeout | undefined;
  private stallsCheckedMs = 0;

  constructor(household: Household) {
    this.household = household;
  }

  /** Looks at once, and goes on until stop(). */
  readonly start = (): void => {
    try {
      this.lookAfter();
    } catch (error) {
      this.household.onFault(error);
    }
    const { slots, store } = this.household;
    const isBusy = slots.resting > 0 || store.tally.expiringItems > 0;
    this.ticker = setTimeout(this.start, isBusy ? TICK_MS : IDLE_TICK_MS);
    this.ticker.unref();
  };

  private lookAfter(): void {
    const { slots, store, readers, sweeper, clients, clock } = this.household;
    slots.release();
    readers?.tick(slots.isHeldUp);
    store.noteClock();
    sweeper.tick();
    const now = clock.monotonicMs();
    if (now - this.stallsCheckedMs >= STALL_CHECK_MS) {
      this.stallsCheckedMs = now;
      clients.shed();
    }
  }

  stop(): void {
    clearTimeout(this.ticker);
  }
}
