import { closeSync } from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';
import { native } from '../../src/native.js';
import { descriptorOf } from '../socket-descriptor.js';

/**
 * Takes a socket's connection out of this thread's hands: returns another descriptor of it, and lets go of the socket without
 * the client noticing. -1 when the socket is closed, or no descriptor is left; then it stays as it is.
 */
export function takeDescriptor(socket: Socket): number {
  const descriptor = descriptorOf(socket);
  if (descriptor < 0) return -1;
  try {
    const copy = native().duplicate(descriptor);
    socket.destroy();
    return copy;
  } catch {
    return -1;
  }
}

/**
 * Makes a socket, which nobody reads from, of a descriptor that another thread has taken; null, and the descriptor closed, when
 * the system refuses.
 */
export function openDescriptor(descriptor: number): Socket | null {
  try {
    // What a server's pauseOnConnect comes down to.
    const options: SocketConstructorOpts & { pauseOnCreate: boolean } = {
      fd: descriptor,
      readable: true,
      writable: true,
      pauseOnCreate: true,
    };
    return new Socket(options);
  } catch {
    closeSync(descriptor);
    return null;
  }
}
