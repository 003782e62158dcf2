import type { Socket } from 'node:net';
import type { TlsGate } from './tls-gate.js';

const MESSAGE = 'ERROR Too many open connections\r\n';
/** Milliseconds that a rejected client has to read why, and to shake hands before. */
const GRACE_MS = 1000;
/** Rejected clients that are given this time at once; further ones are cut off. */
const SOCKETS_MAX = 64;

/** Turns clients away that are beyond the connection limit. */
export class Rejections {
  private readonly sockets = new Set<Socket>();

  /** @param gate what the client speaks TLS with, or null */
  add(socket: Socket, gate: Pick<TlsGate, 'speakTo'> | null): void {
    socket.on('error', () => {});
    if (this.sockets.size >= SOCKETS_MAX) {
      socket.destroy();
      return;
    }
    const speaker = gate === null ? socket : gate.speakTo(socket);
    if (speaker !== socket) speaker.on('error', () => {});
    this.sockets.add(speaker);
    const timer = setTimeout(() => speaker.destroy(), GRACE_MS);
    speaker.on('close', () => {
      clearTimeout(timer);
      this.sockets.delete(speaker);
      socket.destroy();
    });
    // What the client has sent is read and dropped: closing with it unread would reset the connection.
    speaker.resume();
    speaker.end(MESSAGE);
  }

  destroy(): void {
    for (const socket of this.sockets) socket.destroy();
  }
}
