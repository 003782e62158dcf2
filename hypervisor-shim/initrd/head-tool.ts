import { spawn } from 'node:child_process';
import { plainEnvironment } from '../executable.js';

export interface HeadTool {
  /** Found in PATH; reads stdin and writes stdout. */
  command: string;
  args: string[];
}

const HEAD_BYTES = 512;
const TIMEOUT_MS = 10_000;

/** The first bytes that a decompressor makes of its input, which may be cut off; undefined when it makes none. */
export function runForHead(tool: HeadTool, input: Buffer): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const child = spawn(tool.command, tool.args, {
      env: plainEnvironment(),
      stdio: ['pipe', 'pipe', 'ignore'],
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    const parts: Buffer[] = [];
    let bytes = 0;
    child.stdout.on('data', (part: Buffer) => {
      parts.push(part);
      bytes += part.length;
      if (bytes >= HEAD_BYTES) child.kill('SIGKILL');
    });
    // It may end before it has read all, or not be there at all.
    child.stdin.on('error', () => {});
    child.on('error', () => resolve(undefined));
    child.on('close', () => resolve(bytes > 0 ? Buffer.concat(parts) : undefined));
    child.stdin.end(input);
  });
}
