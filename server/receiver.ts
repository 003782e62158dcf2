import type { Socket } from 'node:net';
import { native, type Poller } from '../src/native.js';
import type { Inlet } from './inlet.js';
import { PolledInlet } from './polled-inlet.js';

const BUFFER_BYTES = 256 * 1024;
/**
 * Sockets that are received from in one turn of the event loop, at most: so few that what the system keeps of each is still in the
 * processor's cache when its answer is sent, so many that a turn costs next to nothing.
 */
const SOCKETS_PER_TURN = 8;

/**
 * Receives for all of a thread's plain connections, into one buffer, and from all that have something in one turn of the event
 * loop. By themselves sockets are an event each, which with a thousand of them costs more than to answer; and they take a new
 * buffer of 64 KiB for each read, which under a load of sets is what the garbage collector is busy with.
 */
export class Receiver {
  private readonly buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  private readonly received = new Uint32Array(3 * SOCKETS_PER_TURN);
  private readonly inlets: (PolledInlet | null)[] = [];
  private readonly freeIndexes: number[] = [];
  private readonly poller: Poller;

  /** @param busyWaitUs microseconds that this thread waits for the next request before it sleeps */
  constructor(busyWaitUs: number) {
    native().setBusyWait(busyWaitUs * 1000);
    this.poller = new (native().Poller)(this.buffer, this.received, (count) => this.deliver(count));
  }

  /** Receives for a socket that nobody reads from, as one is that was accepted paused. */
  adopt(socket: Socket): Inlet {
    const index = this.freeIndexes.pop() ?? this.inlets.length;
    const inlet = new PolledInlet(this.poller, index, socket);
    this.inlets[index] = inlet;
    // The event loop closes sockets between its turns: no bytes are under way to what had this index before.
    socket.once('close', () => {
      this.inlets[index] = null;
      this.freeIndexes.push(index);
    });
    return inlet;
  }

  private deliver(count: number): void {
    const { received, buffer, inlets } = this;
    for (let at = 0; at < 3 * count; at += 3) {
      inlets[received[at]!]?.take(buffer, received[at + 1]!, received[at + 2]!);
    }
  }

  /** Receives nothing any more. */
  close(): void {
    this.poller.close();
  }
}
