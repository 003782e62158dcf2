import { spawn } from 'node:child_process';
import { VolleyError } from '../src/errors.js';
import { onAbort } from '../src/on-abort.js';
import { plainEnvironment } from './executable.js';

export interface UnpackTool {
  /** The program, found in PATH; it reads stdin and writes stdout. */
  command: string;
  args: string[];
  /** The Debian package that has it. */
  debianPackage: string;
}

export interface UnpackLimits {
  /** More output than this is an error. */
  outputBytesMax: number;
  timeoutMs: number;
  signal?: AbortSignal;
}

/**
 * Runs a decompressor as a child process over `input`.
 * @throws VolleyError ERR_VOLLEY_SETUP when it is not installed, ERR_VOLLEY_KERNEL when it fails or the output is too
 *   large, ERR_VOLLEY_TIMEOUT, ERR_VOLLEY_ABORTED
 */
export function runUnpackTool(tool: UnpackTool, input: Buffer, limits: UnpackLimits): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn(tool.command, tool.args, {
      env: plainEnvironment(),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const chunks: Buffer[] = [];
    let outputBytes = 0;
    let complaint = '';
    let failure: VolleyError | undefined;
    const fail = (code: VolleyError['code'], message: string) => {
      failure ??= new VolleyError(code, message);
      child.kill('SIGKILL');
    };
    const stop = () => fail('ERR_VOLLEY_ABORTED', `${tool.command} was interrupted`);
    const timer = setTimeout(
      () => fail('ERR_VOLLEY_TIMEOUT', `${tool.command} did not unpack the kernel in ${limits.timeoutMs} ms`),
      limits.timeoutMs,
    );
    const ignoreAbort = onAbort(limits.signal, stop);
    child.stdout.on('data', (chunk: Buffer) => {
      outputBytes += chunk.length;
      chunks.push(chunk);
      if (outputBytes > limits.outputBytesMax) {
        fail(
          'ERR_VOLLEY_KERNEL',
          `the kernel unpacks to more than the ${limits.outputBytesMax} bytes it promises`,
        );
      }
    });
    child.stderr.on('data', (chunk: Buffer) => {
      if (complaint.length < 1024) complaint += chunk.toString('utf8');
    });
    // A decompressor that stops reading early breaks the pipe; its exit code and words tell why.
    child.stdin.on('error', () => {});
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') return fail('ERR_VOLLEY_SETUP', `${tool.command}: ${error.message}`);
      const remedy = `apt-get install ${tool.debianPackage}`;
      fail(
        'ERR_VOLLEY_SETUP',
        `${tool.command} is needed to unpack this kernel and is not installed; run: ${remedy}`,
      );
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      ignoreAbort();
      if (failure) return reject(failure);
      if (code === 0) return resolve(Buffer.concat(chunks));
      const words = complaint.trim().split('\n')[0] || `exit code ${code}`;
      return reject(new VolleyError('ERR_VOLLEY_KERNEL', `the kernel's payload is damaged (${words})`));
    });
    if (limits.signal?.aborted) stop();
    child.stdin.end(input);
  });
}
