import { VOLLEY_COMMAND } from './nodes.js';
import { TestProcess } from './processes.js';

/** What a run of the volley command left. */
export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Starts the volley command without the user's own configuration. */
export function startCli(args: readonly string[], environment: NodeJS.ProcessEnv = {}): TestProcess {
  const [command, script] = VOLLEY_COMMAND;
  const none = { VOLLEY_NODES: '', VOLLEY_CONFIG: '', HOME: '/nonexistent' };
  return new TestProcess(command, [script, ...args], { ...none, ...environment });
}

/** Runs the volley command to its end. @param input for its stdin */
export async function runCli(
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
  input: Uint8Array = new Uint8Array(0),
): Promise<CliResult> {
  const process = startCli(args, environment);
  process.child.stdin!.end(input);
  const code = await process.ended();
  return { code, stdout: process.stdout, stderr: process.stderr };
}
