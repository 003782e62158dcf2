import { connect } from 'node:net';
import { HOST } from './host.js';

const TIMEOUT_MS = 20_000;

/** Sends commands of the text protocol in one go and returns the lines of the answer, of which there are so many. */
export async function tell(
  port: number,
  commands: readonly (string | Buffer)[],
  answers: number,
): Promise<string[]> {
  const socket = connect(port, HOST);
  const timer = setTimeout(() => socket.destroy(new Error(`no ${answers} answers in time`)), TIMEOUT_MS);
  try {
    socket.write(Buffer.concat(commands.map((command) => Buffer.from(command))));
    let text = '';
    for await (const bytes of socket) {
      text += (bytes as Buffer).toString('latin1');
      if (text.split('\r\n').length > answers) break;
    }
    return text.split('\r\n').slice(0, answers);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** Stores values of so many bytes under `prefix-0`, `prefix-1`…; returns which were stored. */
export async function storeMany(
  port: number,
  prefix: string,
  count: number,
  bytes: number,
): Promise<number[]> {
  const value = Buffer.alloc(bytes, prefix);
  const commands = Array.from({ length: count }, (_, i) => [
    `set ${prefix}-${i} 0 0 ${bytes}\r\n`,
    value,
    '\r\n',
  ]);
  const answers = await tell(port, commands.flat(), count);
  return answers.flatMap((answer, i) => (answer === 'STORED' ? [i] : []));
}

export async function deleteMany(port: number, prefix: string, which: readonly number[]): Promise<void> {
  await tell(
    port,
    which.map((i) => `delete ${prefix}-${i}\r\n`),
    which.length,
  );
}

/** Which of `prefix-0`… are there. */
export async function presentOf(port: number, prefix: string, count: number): Promise<number[]> {
  const commands = Array.from({ length: count }, (_, i) => `mg ${prefix}-${i} s\r\n`);
  const answers = await tell(port, commands, count);
  return answers.flatMap((answer, i) => (answer.startsWith('HD') ? [i] : []));
}

/** A figure of `stats` or one of its topics. */
export async function figure(port: number, name: string, topic = ''): Promise<number> {
  const socket = connect(port, HOST);
  socket.write(`stats ${topic}\r\nquit\r\n`);
  let text = '';
  for await (const bytes of socket) text += (bytes as Buffer).toString('latin1');
  const value = new RegExp(`STAT ${name} (\\S+)\r`).exec(text)?.[1];
  if (value === undefined) throw new Error(`there is no figure ${name}`);
  return Number(value);
}
