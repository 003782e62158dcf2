import type { Socket } from 'node:net';

/** What Node keeps of a socket behind its interface. */
interface Handled {
  _handle?: { fd?: number } | null;
}

/** A socket's file descriptor, or -1 when it is closed. */
export function descriptorOf(socket: Socket): number {
  return (socket as Handled)._handle?.fd ?? -1;
}

/** Whether a socket is closed, from the moment of its close on. */
export function isClosed(socket: Socket): boolean {
  return !(socket as Handled)._handle;
}
