import type { Socket } from 'node:net';
import { native, type Poller } from '../src/native.js';
import type { Inlet, Recipient, Sender } from './inlet.js';
import { descriptorOf, isClosed } from './socket-descriptor.js';

/** A socket that a poller receives for. */
export class PolledInlet implements Inlet, Sender {
  readonly sender = this;
  private recipient: Recipient | null = null;
  private isWatched = false;
  private isOver = false;
  /** The socket's, until that is closed; kept because Node takes its time to tell it. */
  private readonly descriptor: number;

  /** @param index what the poller calls it */
  constructor(
    private readonly poller: Poller,
    private readonly index: number,
    private readonly socket: Socket,
  ) {
    this.descriptor = descriptorOf(socket);
  }

  /** Sends what the system takes at once. Returns how much that was. */
  send(pieces: readonly Uint8Array[]): number {
    return isClosed(this.socket) ? 0 : native().sendNow(this.descriptor, pieces, pieces.length);
  }

  /** Takes what was received, bytes[start, end); the end of it when that is nothing; a broken connection when start > end. */
  take(bytes: Buffer, start: number, end: number): void {
    if (!this.isWatched || isClosed(this.socket)) return;
    if (start > end) {
      this.pause();
      this.socket.destroy();
    } else if (start === end) this.discard();
    else this.recipient!.received(bytes, start, end);
  }

  open(recipient: Recipient): void {
    this.recipient = recipient;
    this.resume();
  }

  pause(): void {
    if (!this.isWatched) return;
    this.isWatched = false;
    if (!isClosed(this.socket)) this.poller.remove(this.descriptor);
  }

  resume(): void {
    if (this.isWatched || this.isOver || isClosed(this.socket)) return;
    try {
      this.poller.add(this.descriptor, this.index);
      this.isWatched = true;
    } catch (error) {
      this.socket.destroy(error as Error);
    }
  }

  /** Has the socket itself read on: it knows how to go about the end. */
  discard(): void {
    this.pause();
    this.isOver = true;
    this.socket.resume();
  }
}
