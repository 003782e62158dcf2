import type { Socket } from 'node:net';
import type { Inlet, Recipient } from './inlet.js';

/** A socket whose bytes Node has to make of others, as with TLS. */
export class StreamInlet implements Inlet {
  readonly sender = null;

  constructor(private readonly socket: Socket) {}

  open(recipient: Recipient): void {
    this.socket.on('data', (bytes) => recipient.received(bytes, 0, bytes.length));
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  discard(): void {
    this.socket.resume();
  }
}
