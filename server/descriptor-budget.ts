import { VolleyError } from '../src/errors.js';
import { native } from '../src/native.js';

/** Descriptors that a node has open beside its clients' connections: rejected clients, metrics, listeners, files; and per thread. */
const OWN_DESCRIPTORS = 192;
const PER_THREAD = 8;
/** Of those, so many are kept for what must go on when clients take more than was thought of. */
const RESERVE = 32;
const CONNECTIONS_LEAST = 16;

export interface DescriptorNeeds {
  /** Connections to be open at once (-c). */
  maxConnections: number;
  /** Whether that number was asked for; else fewer do as well. */
  isAskedFor: boolean;
  threads: number;
  /** Whether as many fabric connections may come. */
  fabric: boolean;
}

/** What a node may open, by the limit that the system sets (RLIMIT_NOFILE). */
export interface DescriptorBudget {
  maxConnections: number;
  /** A connection with this descriptor or a larger one is not to be served: nearly all are in use. */
  descriptorsMax: number;
  /** Why there are fewer connections than by default, or null. */
  notice: string | null;
}

/**
 * Raises the limit as far as the connections need it and the system lets it be raised.
 * @throws VolleyError ERR_VOLLEY_SETUP when so many connections as were asked for do not fit it
 */
export function openDescriptorBudget(
  needs: DescriptorNeeds,
  raise: (wanted: number) => number = native().raiseDescriptorLimit,
): DescriptorBudget {
  const { maxConnections, isAskedFor, threads, fabric } = needs;
  const own = OWN_DESCRIPTORS + PER_THREAD * threads;
  const perConnection = fabric ? 2 : 1;
  const needed = own + perConnection * maxConnections;
  const limit = raise(needed);
  const descriptorsMax = limit - RESERVE;
  if (limit >= needed) return { maxConnections, descriptorsMax, notice: null };
  const fitting = Math.floor((limit - own) / perConnection);
  const why = `${maxConnections} connections (-c) need ${needed} file descriptors, and this process may open ${limit}`;
  const help = 'raise that limit (ulimit -n, LimitNOFILE= of systemd)';
  if (isAskedFor || fitting < CONNECTIONS_LEAST) {
    const less = fitting < 1 ? '' : `, or give -c ${fitting}`;
    throw new VolleyError('ERR_VOLLEY_SETUP', `${why}; ${help}${less}`);
  }
  return { maxConnections: fitting, descriptorsMax, notice: `${why}: only ${fitting} are served; ${help}` };
}
