import type { Region } from '../src/native.js';
import type { Credentials } from './auth/credentials.js';
import { Throttle } from './auth/throttle.js';
import type { ClientsContext } from './clients.js';
import type { Clock } from './clock.js';
import { Compactor } from './compactor.js';
import { type ConversationContext, converseFully } from './conversation.js';
import { Counters } from './counters.js';
import { Evictor } from './evictor.js';
import { faultText } from './fault-text.js';
import type { Flights } from './flights.js';
import type { StorageNode } from './node.js';
import type { NodeOptions } from './options.js';
import { PrefixStats } from './prefix-stats.js';
import { restoreItems } from './restore.js';
import type { Slots } from './slots.js';
import { Stats } from './stats.js';
import { Store } from './store.js';
import { Sweeper } from './sweeper.js';
import { Waiters } from './waiters.js';

/** What a node's clients are served with. */
export type NodeContext = ConversationContext & ClientsContext & { compactor: Compactor };

/** What is there before. */
export interface Assembled {
  node: StorageNode;
  options: NodeOptions;
  version: string;
  region: Region;
  slots: Slots;
  flights: Flights;
  /** Null where nobody has to authenticate. */
  credentials: Credentials | null;
  clock: Clock;
}

/**
 * Makes the store with all that works on it, and takes up the items of a region file.
 * @throws VolleyError ERR_VOLLEY_LAYOUT when that was cut into other size classes
 */
export function assemble(parts: Assembled): NodeContext {
  const { node, options, version, region, slots, flights, credentials, clock } = parts;
  const { flushAllowed, itemSizeMax, idleTimeoutMs, stallTimeoutMs, loginTimeoutMs, quarantineMs } = options;
  const { prefixDelimiter } = options;
  const counters = new Counters(new PrefixStats(prefixDelimiter ?? undefined, prefixDelimiter !== null));
  const store = new Store({ region, slots, itemSizeMax, clock });
  restoreItems(region, slots, store);
  store.evictor = options.onFull === 'evict' ? new Evictor(store, slots, clock.seconds) : null;
  const compactor = new Compactor(store, slots);
  const stats = new Stats({ node, version, counters, store, slots, compactor, region, clock });
  const login = credentials && { credentials, counters, throttle: new Throttle(clock.monotonicMs) };
  const talk: ConversationContext = {
    store,
    slots,
    stats,
    counters,
    sweeper: new Sweeper(store, clock),
    waiters: new Waiters(slots),
    version,
    login,
    clock,
    flushAllowed,
    quarantineMs,
    refreshCertificates: () => node.refreshCertificates(),
  };
  const timeouts = { idleTimeoutMs, stallTimeoutMs, loginTimeoutMs };
  const converse = converseFully(talk);
  const onFault = (error: unknown) => {
    counters.faults++;
    node.log.error(
      { reason: faultText(error) },
      'the node met a fault of its own; what it happened to is given up',
    );
  };
  return { ...talk, ...timeouts, compactor, converse, wantsLogin: login !== null, flights, onFault };
}
