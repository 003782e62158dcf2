import { TestProcess } from './processes.js';

/** Listens, takes no connection, and has as many waiting as fit: the kernel drops those who come. */
const SCRIPT = `
import socket, sys, time
s = socket.socket(); s.bind((sys.argv[1], 0)); s.listen(0)
waiting = []
for i in range(4):
    c = socket.socket(); c.setblocking(False); c.connect_ex(s.getsockname()); waiting.append(c)
time.sleep(0.2)
print(s.getsockname()[1], flush=True)
time.sleep(600)
`;

/** An address where the queue of new connections is full. */
export class FullBacklog {
  private constructor(readonly port: number) {}

  static async use(address: string, work: (backlog: FullBacklog) => Promise<void>): Promise<void> {
    const holder = new TestProcess('python3', ['-c', SCRIPT, address]);
    try {
      await holder.until('port', () => holder.stdout.includes('\n'));
      await work(new FullBacklog(Number(holder.stdout)));
    } finally {
      await holder.kill();
    }
  }
}
