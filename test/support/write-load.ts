import { connect, type Socket } from 'node:net';
import { HOST } from './host.js';

const PIPELINE = 32;

/** What a key may hold: the number of the set that wrote it, or 0 for nothing. */
type Version = number;

interface Pending {
  key: number;
  version: Version;
}

/**
 * Sets and deletes a few hundred keys at random, pipelined, and knows at each moment what each key may hold: what the
 * last acknowledged command left, or what a command under way would leave.
 */
export class WriteLoad {
  acknowledged = 0;
  private readonly settled: Version[];
  private readonly pending: Pending[] = [];
  private last = 0;
  private partial = '';
  private socket: Socket | null = null;
  private ended = false;

  constructor(
    private readonly random: () => number,
    private readonly keys = 300,
    private readonly valueBytesMax = 40_000,
  ) {
    this.settled = new Array(keys).fill(0);
  }

  /** Writes until the node is gone. */
  async run(port: number): Promise<void> {
    this.ended = false;
    this.partial = '';
    const socket = connect(port, HOST);
    this.socket = socket;
    await new Promise<void>((resolve) => {
      socket.on('connect', () => this.fill());
      socket.on('data', (bytes) => this.take(bytes.toString('latin1')));
      socket.on('error', () => {});
      socket.on('close', () => resolve());
    });
    this.ended = true;
  }

  private fill(): void {
    while (!this.ended && this.pending.length < PIPELINE) {
      const key = Math.floor(this.random() * this.keys);
      const isDelete = this.random() < 0.2;
      const version = isDelete ? 0 : ++this.last;
      this.pending.push({ key, version });
      if (isDelete) {
        this.socket!.write(`delete key-${key}\r\n`);
      } else {
        const value = this.valueOf(key, version);
        this.socket!.write(`set key-${key} ${version} 0 ${value.length}\r\n`);
        this.socket!.write(value);
        this.socket!.write('\r\n');
      }
    }
  }

  private take(text: string): void {
    const lines = (this.partial + text).split('\r\n');
    this.partial = lines.pop()!;
    for (const line of lines) {
      if (!['STORED', 'DELETED', 'NOT_FOUND'].includes(line)) throw new Error(`the node answered ${line}`);
      const { key, version } = this.pending.shift()!;
      this.settled[key] = version;
      this.acknowledged++;
    }
    this.fill();
  }

  /** Bytes that tell key and version, and that no other set writes. */
  private valueOf(key: number, version: Version): Buffer {
    const bytes = (Math.imul(version, 0x9e3779b1) >>> 0) % this.valueBytesMax;
    const unit = `${key}:${version};`;
    return Buffer.from(unit.repeat(Math.ceil(bytes / unit.length) + 1));
  }

  /** Reads all keys; throws when one does not hold what it may. Returns how many hold something. */
  async check(port: number): Promise<number> {
    const held = await readAll(port, this.keys);
    let present = 0;
    for (let key = 0; key < this.keys; key++) {
      const found = held.get(`key-${key}`);
      const version = found?.flags ?? 0;
      if (found) present++;
      if (found && !found.value.equals(this.valueOf(key, version)))
        throw new Error(`key-${key} holds wrong bytes`);
      const may = [
        this.settled[key]!,
        ...this.pending.filter((one) => one.key === key).map((one) => one.version),
      ];
      if (!may.includes(version))
        throw new Error(`key-${key} holds version ${version} and not one of ${may}`);
      this.settled[key] = version;
    }
    this.pending.length = 0;
    return present;
  }
}

interface Held {
  flags: number;
  value: Buffer;
}

async function readAll(port: number, keys: number): Promise<Map<string, Held>> {
  const socket = connect(port, HOST);
  const parts: Buffer[] = [];
  socket.write(`get ${Array.from({ length: keys }, (_, key) => `key-${key}`).join(' ')}\r\nquit\r\n`);
  for await (const bytes of socket) parts.push(bytes as Buffer);
  const answer = Buffer.concat(parts);
  const held = new Map<string, Held>();
  let at = 0;
  while (answer.toString('latin1', at, at + 5) === 'VALUE') {
    const end = answer.indexOf('\r\n', at);
    const [, key, flags, bytes] = answer.toString('latin1', at, end).split(' ');
    const value = answer.subarray(end + 2, end + 2 + Number(bytes));
    held.set(key!, { flags: Number(flags), value });
    at = end + 2 + Number(bytes) + 2;
  }
  if (answer.toString('latin1', at) !== 'END\r\n') throw new Error('the answer to the get has no end');
  return held;
}
