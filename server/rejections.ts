import type { Socket } from 'node:net';

const MESSAGE = 'ERROR Too many open connections\r\n';
/** Milliseconds that a rejected client has to read why. */
const GRACE_MS = 1000;
/** Rejected clients that are given this time at once; further ones are cut off. */
const SOCKETS_MAX = 64;

/** Turns clients away that are beyond the connection limit. */
export class Rejections {
  private readonly sockets = new Set<Socket>();

  add(socket: Socket): void {
    socket.on('error', () => {});
    if (this.sockets.size >= SOCKETS_MAX) {
      socket.destroy();
      return;
    }
    this.sockets.add(socket);
    const timer = setTimeout(() => socket.destroy(), GRACE_MS);
    socket.on('close', () => {
      clearTimeout(timer);
      this.sockets.delete(socket);
    });
    // What the client has sent is read and dropped: closing with it unread would reset the connection.
    socket.resume();
    socket.end(MESSAGE);
  }

  destroy(): void {
    for (const socket of this.sockets) socket.destroy();
  }
}
