import { connect, type Socket } from 'node:net';
import { onAbort } from '../src/on-abort.js';
import { abortedError, settler } from './deadline.js';

/** Milliseconds until the next address is tried beside those under way (RFC 8305, section 5). */
const STAGGER_MS = 250;

/** A connection, and the address that it leads to. */
export interface Dialed {
  socket: Socket;
  address: string;
}

/** No address of a host took a connection. */
export class NoAddressError extends Error {
  /** @param failures what went wrong, in the order in which it did; at least one */
  constructor(readonly failures: readonly { address: string; error: NodeJS.ErrnoException }[]) {
    super('no address of the host took a connection');
  }
}

/**
 * Connects to the first of a host's addresses that takes a connection: each is tried when the one before it has failed,
 * or has not answered for STAGGER_MS, and goes on while later ones are tried. The others are given up then.
 * @param addresses IP addresses, at least one
 * @throws NoAddressError when none takes it, VolleyError ERR_VOLLEY_ABORTED
 */
export function dialFirst(addresses: readonly string[], port: number, signal?: AbortSignal): Promise<Dialed> {
  const { promise, resolve, reject } = settler<Dialed>();
  const underWay = new Set<Socket>();
  const failures: { address: string; error: NodeJS.ErrnoException }[] = [];
  let next = 0;
  let timer: NodeJS.Timeout | undefined;
  const end = () => {
    clearTimeout(timer);
    ignoreAbort();
    for (const socket of underWay) socket.destroy();
    underWay.clear();
    next = addresses.length;
  };
  const stop = () => {
    end();
    reject(abortedError(signal!));
  };
  const ignoreAbort = onAbort(signal, stop);
  const tryNext = () => {
    clearTimeout(timer);
    if (next >= addresses.length) return;
    const address = addresses[next++]!;
    const socket = connect({ host: address, port, noDelay: true });
    underWay.add(socket);
    socket.once('connect', () => {
      underWay.delete(socket);
      end();
      resolve({ socket, address });
    });
    socket.on('error', (error) => {
      if (!underWay.delete(socket)) return;
      failures.push({ address, error });
      if (failures.length === addresses.length) {
        end();
        reject(new NoAddressError(failures));
      } else tryNext();
    });
    timer = setTimeout(tryNext, STAGGER_MS);
  };
  if (signal?.aborted) stop();
  else tryNext();
  return promise;
}
