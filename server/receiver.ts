import { Socket, type SocketConstructorOpts, type TcpSocketConnectOpts } from 'node:net';
import { native } from '../src/native.js';

const BUFFER_BYTES = 256 * 1024;

/** What Node keeps of a socket behind its interface. */
interface Handled {
  _handle?: { fd?: number } | null;
}

/** A socket to go on with, and a shorter way to write to it, where there is one. */
export interface Adopted {
  socket: Socket;
  /** Sends what the system takes at once. @returns the bytes it took; 0 when the socket is closed */
  sendNow: ((pieces: readonly Uint8Array[]) => number) | null;
}

/**
 * Reads all of a node's plain connections into one buffer. By themselves sockets take a new buffer of 64 KiB for each read;
 * under a load of sets these are what the garbage collector is busy with, more than the node with the sets.
 */
export class Receiver {
  private readonly buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);

  /** @param busyWaitUs microseconds that this thread waits for the next request before it sleeps */
  constructor(busyWaitUs: number) {
    native().setBusyWait(busyWaitUs * 1000);
  }

  /**
   * Takes over a socket that a server has just accepted and that nobody has read from.
   * @param onBytes gets what was received, buffer[0, bytes); the bytes are others as soon as it has returned
   */
  adopt(accepted: Socket, onBytes: (buffer: Buffer, bytes: number) => void): Adopted {
    const handle = (accepted as Handled)._handle;
    if (!handle) {
      // Closed already, or a Node that keeps it elsewhere: then as everywhere else.
      accepted.on('data', (bytes) => onBytes(bytes, bytes.length));
      return { socket: accepted, sendNow: null };
    }
    const { buffer } = this;
    const callback = (bytes: number): boolean => {
      onBytes(buffer, bytes);
      return true;
    };
    // A server can't be told to accept with `onread`, so the handle is given to a socket that was made with it.
    const options: SocketConstructorOpts & Pick<TcpSocketConnectOpts, 'onread'> & { handle: object } = {
      handle,
      onread: { buffer, callback },
    };
    const socket = new Socket(options);
    (accepted as Handled)._handle = null;
    accepted.destroy();
    return { socket, sendNow: (pieces) => sendOver(socket, pieces) };
  }
}

function sendOver(socket: Socket, pieces: readonly Uint8Array[]): number {
  const descriptor = (socket as Handled)._handle?.fd ?? -1;
  return descriptor < 0 ? 0 : native().sendNow(descriptor, pieces, pieces.length);
}
