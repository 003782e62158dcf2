import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { native } from '../../src/native.js';

/**
 * Takes a socket's connection out of this thread's hands: returns another descriptor of it, and lets go of the socket without
 * the client noticing. -1 when the socket is closed, or no descriptor is left; then it stays as it is.
 */
export function takeDescriptor(socket: Socket): number {
  // What Node keeps of a socket behind its interface.
  const descriptor = (socket as { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
  if (descriptor < 0) return -1;
  try {
    const copy = native().duplicate(descriptor);
    socket.destroy();
    return copy;
  } catch {
    return -1;
  }
}

/** Makes a socket of a descriptor that another thread has taken; null, and the descriptor closed, when the system refuses. */
export function openDescriptor(descriptor: number): Socket | null {
  try {
    return new Socket({ fd: descriptor, readable: true, writable: true });
  } catch {
    closeSync(descriptor);
    return null;
  }
}
