import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const TIMEOUT_MS = 5000;

/**
 * Tells systemd that the service is ready, where it has started this process and waits for that (Type=notify).
 * Returns why it could not be told, or null. Node has no sockets of the kind that systemd listens on, so its own tool tells it.
 */
export async function tellReady(): Promise<string | null> {
  if (!process.env.NOTIFY_SOCKET) return null;
  try {
    await promisify(execFile)('systemd-notify', ['--ready'], { timeout: TIMEOUT_MS });
    return null;
  } catch (error) {
    return `systemd was not told that the node is ready: ${(error as Error).message.trim().split('\n')[0]}`;
  }
}
