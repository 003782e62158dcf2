import { connect, type Socket } from 'node:net';
import { request, storeExtras } from './binary-packets.js';
import { HOST } from './host.js';
import type { Random } from './random.js';

const VALUE_BYTES = 32 * 1024;
const PIPELINE_GETS = 400;

/** What a misbehaving client does with a fresh connection; it is closed by the storm when its time is over. */
type Behaviour = (socket: Socket, random: Random) => void;

const value = Buffer.alloc(VALUE_BYTES, 'storm');
const setHead = (key: string, bytes: number) => `set ${key} 0 0 ${bytes}\r\n`;

const BEHAVIOURS: Record<string, Behaviour> = {
  'reads slowly': (socket) => {
    socket.pause();
    socket.write('get storm-0 storm-1 storm-2 storm-3\r\n'.repeat(50));
  },
  'a giant pipeline': (socket) => {
    socket.resume();
    socket.write('get storm-1\r\nmg storm-2 v\r\nget none\r\n'.repeat(PIPELINE_GETS / 8));
  },
  'a line of a thousand keys': (socket) => {
    socket.resume();
    socket.write(`get${' none'.repeat(1000)}\r\n`);
  },
  garbage: (socket, random) => {
    socket.resume();
    socket.write(random.bytes(random.between(1, 4000)));
  },
  'binary garbage': (socket, random) => {
    socket.resume();
    socket.write(Buffer.concat([Buffer.from([0x80]), random.bytes(200)]));
  },
  'aborts in the midst of a value': (socket, random) => {
    socket.write(setHead('storm-cut', VALUE_BYTES));
    socket.write(value.subarray(0, random.between(1, VALUE_BYTES - 1)), () => socket.resetAndDestroy());
  },
  'half-open': (socket) => {
    socket.resume();
    socket.end('get storm-1\r\nset storm-half 0 0 100\r\nabc');
  },
  'says nothing': (socket) => {
    socket.resume();
  },
  'a value that is too large': (socket) => {
    socket.resume();
    socket.write(setHead('storm-large', 64 * 1024 * 1024));
    socket.write(value);
  },
  'binary stores': (socket, random) => {
    socket.resume();
    const key = `storm-${random.between(0, 9)}`;
    socket.write(request({ opcode: 1, key, extras: storeExtras(), value }));
    socket.write(request({ opcode: 0, key }));
  },
  'text and meta stores': (socket, random) => {
    socket.resume();
    const key = `storm-${random.between(0, 9)}`;
    socket.write(`${setHead(key, VALUE_BYTES)}${value}\r\nms ${key} ${VALUE_BYTES}\r\n${value}\r\nmn\r\n`);
  },
};

/** Keeps a number of misbehaving connections to a node open, and replaces each after a while. */
export class Storm {
  /** How many connections were begun, by what they did. */
  readonly counts = new Map<string, number>();
  private readonly sockets = new Set<Socket>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private isOver = false;

  constructor(
    private readonly port: number,
    private readonly random: Random,
    /** How long a connection lives, at most, in milliseconds. */
    private readonly lifeMsMax: number,
  ) {}

  start(connections: number): void {
    // Spread over the life of one, so that they don't begin and end at once.
    for (let i = 0; i < connections; i++) this.later((i / connections) * 1000);
  }

  /** How many connections stand now. */
  get connected(): number {
    let count = 0;
    for (const socket of this.sockets) if (socket.readyState !== 'opening') count++;
    return count;
  }

  /** Closes all connections. */
  stop(): void {
    this.isOver = true;
    for (const timer of this.timers) clearTimeout(timer);
    for (const socket of this.sockets) socket.destroy();
  }

  private later(ms: number, act = () => this.open()): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      act();
    }, ms);
    this.timers.add(timer);
  }

  private open(): void {
    const name = this.random.pick(Object.keys(BEHAVIOURS));
    const socket = connect({ port: this.port, host: HOST, allowHalfOpen: true });
    this.sockets.add(socket);
    socket.on('error', () => {});
    socket.on('connect', () => {
      this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
      BEHAVIOURS[name]!(socket, this.random);
      this.later(this.random.between(this.lifeMsMax / 2, this.lifeMsMax), () => socket.destroy());
    });
    socket.on('close', () => {
      this.sockets.delete(socket);
      if (!this.isOver) this.later(this.random.between(100, 1000));
    });
  }
}
